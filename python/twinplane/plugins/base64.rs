//! Base64 as clients write it: with or without padding, whatever stands in the bits that no byte takes up.
use std::sync::LazyLock;

use data_encoding::{BASE64_NOPAD, BASE64URL_NOPAD, Encoding};

static PLAIN: LazyLock<Option<Encoding>> = LazyLock::new(|| lenient(&BASE64_NOPAD));
static URL: LazyLock<Option<Encoding>> = LazyLock::new(|| lenient(&BASE64URL_NOPAD));

fn lenient(strict: &Encoding) -> Option<Encoding> {
    let mut specification = strict.specification();
    specification.check_trailing_bits = false;
    specification.encoding().ok()
}

fn decode_as(encoding: Option<&Encoding>, text: &[u8]) -> Option<Vec<u8>> {
    let end = text.iter().rposition(|byte| *byte != b'=');
    encoding?.decode(&text[..end.map_or(0, |at| at + 1)]).ok()
}

/// Decodes the usual alphabet.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    decode_as(PLAIN.as_ref(), text)
}

/// Decodes the alphabet of URLs and tokens.
pub(crate) fn decode_url(text: &[u8]) -> Option<Vec<u8>> {
    decode_as(URL.as_ref(), text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_trailing_bits_do_not_matter() {
        for text in ["YQ==", "YQ=", "YQ", "YR"] {
            assert_eq!(decode(text.as_bytes()).as_deref(), Some(&b"a"[..]));
        }
        assert_eq!(decode_url(b"-_8").as_deref(), Some(&[0xfb, 0xff][..]));
        assert_eq!(decode(b"").as_deref(), Some(&b""[..]));
        for text in ["!!!", "Y", "Y Q"] {
            assert_eq!(decode(text.as_bytes()), None);
        }
    }
}
