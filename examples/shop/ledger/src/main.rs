//! The payments service as a program.

fn main() -> anyhow::Result<()> {
    shop_ledger::main()
}
