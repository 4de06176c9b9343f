//! The tables that README quotes, as reviewed snapshots.

pub fn review(name: &str, about: &str, table: &str) {
    println!("{table}");
    let mut settings = insta::Settings::new();
    settings.set_snapshot_path("../../../snapshots/tables");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.set_description(about);
    settings.bind(|| insta::assert_snapshot!(name, table));
}
