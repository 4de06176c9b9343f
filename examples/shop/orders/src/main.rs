//! The order service as a program.

fn main() -> anyhow::Result<()> {
    shop_orders::main()
}
