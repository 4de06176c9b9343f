//! The inventory as a program.

fn main() -> anyhow::Result<()> {
    shop_sql_inventory::main()
}
