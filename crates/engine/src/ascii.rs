//! Comparing and checking short ASCII eight bytes at a time: what is done for each field of each head.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;
const CASE: u64 = 0x2020_2020_2020_2020;

/// Whether two texts are the same but for the case of ASCII letters, as [`slice::eq_ignore_ascii_case`] says.
pub fn same_name(one: &[u8], other: &[u8]) -> bool {
    if one.len() != other.len() {
        return false;
    }
    match (one.last_chunk(), other.last_chunk()) {
        (Some(last), Some(other_last)) => {
            let (words, _) = one.as_chunks();
            let (other_words, _) = other.as_chunks();
            // The last word overlaps the one before it.
            same_word(*last, *other_last)
                && words
                    .iter()
                    .zip(other_words)
                    .all(|(word, other)| same_word(*word, *other))
        }
        _ => same_word(short(one), short(other)),
    }
}

/// Whether no byte is a control byte but the tab.
pub fn is_field_value(value: &[u8]) -> bool {
    if let Some(last) = value.last_chunk() {
        let (words, _) = value.as_chunks();
        let odd = words
            .iter()
            .fold(controls(*last), |odd, word| odd | controls(*word));
        odd == 0 || value.iter().all(|byte| is_value_byte(*byte))
    } else {
        value.iter().all(|byte| is_value_byte(*byte))
    }
}

fn is_value_byte(byte: u8) -> bool {
    (byte >= b' ' || byte == b'\t') && byte != 0x7f
}

// Fewer than eight bytes as one word: from four on the first and the last four, which overlap, else zeros behind them.
fn short(text: &[u8]) -> [u8; 8] {
    let mut word = [0; 8];
    if let (Some(first), Some(last)) = (text.first_chunk::<4>(), text.last_chunk::<4>()) {
        word[..4].copy_from_slice(first);
        word[4..].copy_from_slice(last);
        return word;
    }
    for (at, byte) in word.iter_mut().zip(text) {
        *at = *byte;
    }
    word
}

fn same_word(one: [u8; 8], other: [u8; 8]) -> bool {
    let (one, other) = (u64::from_le_bytes(one), u64::from_le_bytes(other));
    let differ = one ^ other;
    if differ & !CASE != 0 {
        return false;
    }
    // In the highest bit of each byte: whether it is a letter, of either case.
    let lower = (one | CASE) & !HIGH;
    let from_a = lower + ONES * (0x80 - u64::from(b'a'));
    let beyond_z = lower + ONES * (0x7f - u64::from(b'z'));
    let letters = from_a & !beyond_z & !one & HIGH;
    (differ << 2) & !letters == 0
}

// In the highest bit of some byte: whether there is a control byte. The tab counts as one.
fn controls(word: [u8; 8]) -> u64 {
    let word = u64::from_le_bytes(word);
    let below_space = !((word & !HIGH) + ONES * (0x80 - u64::from(b' ')));
    let delete = (word & !HIGH) + ONES;
    (below_space | delete) & !word & HIGH
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_bytes_compares_as_the_standard_library_says() {
        for length in [1, 3, 4, 7, 8, 9, 16, 19] {
            for (one, other) in
                (0..=u8::MAX).flat_map(|one| (0..=u8::MAX).map(move |other| (one, other)))
            {
                for at in [0, length / 2, length - 1] {
                    let (mut left, mut right) = (vec![b'x'; length], vec![b'X'; length]);
                    (left[at], right[at]) = (one, other);
                    assert_eq!(
                        same_name(&left, &right),
                        left.eq_ignore_ascii_case(&right),
                        "{one} {other} at {at} of {length}"
                    );
                }
            }
        }
    }

    #[test]
    fn lengths_differ() {
        assert!(same_name(b"", b""));
        assert!(!same_name(b"host", b"hosts"));
        assert!(!same_name(b"a\0", b"a"));
    }

    #[test]
    fn control_bytes_are_found_wherever_they_stand() {
        for length in 1..20 {
            for byte in 0..=u8::MAX {
                for at in 0..length {
                    let mut value = vec![b'v'; length];
                    value[at] = byte;
                    let wanted = (byte >= b' ' || byte == b'\t') && byte != 0x7f;
                    assert_eq!(is_field_value(&value), wanted, "{byte} at {at} of {length}");
                }
            }
        }
        assert!(is_field_value(b""));
    }
}
