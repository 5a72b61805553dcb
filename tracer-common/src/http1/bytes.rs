//! Classes of bytes (RFC 9110, 5.5 and 5.6), the same for the scanner and for userspace.

/// Whether `byte` is whitespace within a line: SP or HTAB (RFC 9110, 5.6.3). CR is none: it is part of a line end, or invalid.
#[inline(always)]
#[must_use]
pub const fn is_whitespace(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// Whether `byte` is a control character that no line may contain: any but HTAB (RFC 9110, 5.5). CR and LF are, too.
#[inline(always)]
#[must_use]
pub const fn is_control(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// Whether `byte` is one of RFC 9110's tchar (5.6.2).
#[inline(always)]
#[must_use]
pub const fn is_token_character(byte: u8) -> bool {
    /// Of the first 128 bytes, one bit each.
    const TOKEN: u128 = {
        let mut bits = 0u128;
        let mut byte = 0u8;
        while byte < 128 {
            if byte.is_ascii_alphanumeric()
                || matches!(
                    byte,
                    b'!' | b'#'
                        | b'$'
                        | b'%'
                        | b'&'
                        | b'\''
                        | b'*'
                        | b'+'
                        | b'-'
                        | b'.'
                        | b'^'
                        | b'_'
                        | b'`'
                        | b'|'
                        | b'~'
                )
            {
                bits |= 1 << byte;
            }
            byte += 1;
        }
        bits
    };
    let word = if byte < 64 { TOKEN as u64 } else { (TOKEN >> 64) as u64 };
    byte < 128 && word >> (byte & 63) & 1 != 0
}
