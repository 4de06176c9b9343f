//! Data inside of an HTML page.

use serde::Serialize;

/// As JSON that may stand inside of a `<script>` element: nothing in it can end the element or begin a comment.
///
/// Outside of strings JSON has none of these characters, and within them an escape means the same.
pub fn json(data: &impl Serialize) -> String {
    let json = serde_json::to_string(data).expect("keys are strings and numbers are finite");
    json.replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_ends_the_element_that_it_stands_in() {
        let text = "</script><!--<img onerror=alert(1)> & \u{2028} \\u003c";
        let embedded = json(&text);
        assert!(!embedded.contains(['<', '>', '&']), "{embedded}");
        assert_eq!(serde_json::from_str::<String>(&embedded).unwrap(), text);
    }
}
