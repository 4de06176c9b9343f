//! The order service as a program.

fn main() -> anyhow::Result<()> {
    shop_sql_orders::main()
}
