//! Characters that are not seen: they hide in a text what its reader should know, or turn around what is read. What is
//! done about them is up to who shows or stores the text.

/// Whether a character has no width of its own, or changes the direction of what is read: soft hyphens, joiners, marks of
/// direction, separators of lines that no key makes, invisible operators, annotations, and tags. Control characters and
/// variation selectors are not among them.
#[must_use]
pub fn is_invisible(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hides_is_known_and_what_is_written_is_not() {
        let hidden = "\u{ad}\u{200b}\u{200d}\u{202e}\u{2028}\u{2066}\u{206f}\u{feff}\u{fffa}\u{e0041}";
        assert!(hidden.chars().all(is_invisible), "{hidden:?}");
        let written = "aß漢 \n\u{1b}\u{301}\u{2027}\u{202f}\u{2070}\u{fe0f}\u{e0080}👩";
        assert!(!written.chars().any(is_invisible), "{written:?}");
    }
}
