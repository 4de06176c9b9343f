//! The payments service as a program.

fn main() -> anyhow::Result<()> {
    shop_sql_payments::main()
}
