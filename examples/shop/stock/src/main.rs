//! The stock service as a program.

fn main() -> anyhow::Result<()> {
    shop_stock::main()
}
