//! The resources of the demo's server: a page of 40 KiB and the two pictures on it.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use super::wire::field;

/// `Last-Modified` of every resource: 2025-01-01 00:00:00 UTC, in seconds since 1970.
const LAST_MODIFIED: u64 = 1_735_689_600;
/// Bytes of the page: several windows of segments, but few enough to read through.
const PAGE_SIZE: usize = 40 * 1024;
/// Bytes of each picture, sent only to a browser without a cached copy.
const PICTURE_SIZE: usize = 8 * 1024;

/// Path of the first picture.
pub(super) const LOGO: &str = "/logo.png";
/// Path of the second picture.
pub(super) const PHOTO: &str = "/photo.jpg";

/// A resource of the server.
pub(super) struct Resource {
    /// Its path, as in the request target.
    pub(super) path: &'static str,
    /// Media type.
    pub(super) media_type: &'static str,
    /// Entity tag, with its quotes.
    pub(super) etag: &'static str,
    /// The content.
    pub(super) content: Vec<u8>,
}

static RESOURCES: LazyLock<[Resource; 3]> = LazyLock::new(|| {
    [
        Resource { path: "/", media_type: "text/html; charset=utf-8", etag: "\"page-1\"", content: page() },
        Resource {
            path: LOGO,
            media_type: "image/png",
            etag: "\"logo-1\"",
            content: picture(b"\x89PNG\r\n\x1a\n"),
        },
        Resource {
            path: PHOTO,
            media_type: "image/jpeg",
            etag: "\"photo-1\"",
            content: picture(b"\xff\xd8\xff"),
        },
    ]
});

/// The resource at `path`.
pub(super) fn find(path: &str) -> Option<&'static Resource> {
    RESOURCES.iter().find(|resource| resource.path == path)
}

/// `Last-Modified` of every resource.
pub(super) fn last_modified() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(LAST_MODIFIED)
}

impl Resource {
    /// Whether the browser's cached copy is fresh (RFC 9110 section 13.2.2). The date counts only
    /// if no entity tag was sent.
    pub(super) fn is_fresh_for(&self, request_head: &str) -> bool {
        if let Some(tags) = field(request_head, "If-None-Match") {
            // Weak comparison (section 8.8.3.2) ignores a W/ before the tag.
            let opaque = |tag: &str| tag.trim().trim_start_matches("W/") == self.etag;
            return tags == "*" || tags.split(',').any(opaque);
        }
        let since = field(request_head, "If-Modified-Since");
        since
            .and_then(|date| httpdate::parse_http_date(date).ok())
            .is_some_and(|date| date >= last_modified())
    }
}

/// A page that shows both pictures, padded with numbered paragraphs to [`PAGE_SIZE`].
fn page() -> Vec<u8> {
    let mut page = format!(
        "<!doctype html>\n<title>tracer demo</title>\n<img src=\"{LOGO}\" alt=\"logo\">\n\
         <img src=\"{PHOTO}\" alt=\"photo\">\n"
    );
    let mut number = 1;
    while page.len() < PAGE_SIZE {
        page.push_str(&format!("<p>Paragraph {number} of a page that takes many segments to send.\n"));
        number += 1;
    }
    page.truncate(PAGE_SIZE);
    page.into_bytes()
}

/// A file that starts with `signature`. The rest is zeros, because nobody displays it.
fn picture(signature: &[u8]) -> Vec<u8> {
    let mut picture = signature.to_vec();
    picture.resize(PICTURE_SIZE, 0);
    picture
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_fresh(fields: &str) -> bool {
        find(LOGO).expect("the logo exists").is_fresh_for(&format!("GET /logo.png HTTP/1.1\r\n{fields}"))
    }

    #[test]
    fn a_matching_entity_tag_means_that_the_copy_is_fresh() {
        assert!(is_fresh("If-None-Match: \"logo-1\""));
        assert!(is_fresh("If-None-Match: \"x\", W/\"logo-1\""));
        assert!(is_fresh("If-None-Match: *"));
        assert!(!is_fresh("If-None-Match: \"logo-0\""));
    }

    #[test]
    fn the_date_counts_only_without_an_entity_tag() {
        assert!(is_fresh("If-Modified-Since: Wed, 01 Jan 2025 00:00:00 GMT"));
        assert!(!is_fresh("If-Modified-Since: Tue, 31 Dec 2024 23:59:59 GMT"));
        assert!(!is_fresh("If-Modified-Since: yesterday"));
        assert!(!is_fresh("If-None-Match: \"x\"\r\nIf-Modified-Since: Wed, 01 Jan 2025 00:00:00 GMT"));
        assert!(!is_fresh("Accept: */*"));
    }

    #[test]
    fn the_page_has_its_size_and_shows_both_pictures() {
        let page = String::from_utf8(page()).expect("the page is text");
        assert_eq!(page.len(), PAGE_SIZE);
        assert!(page.contains(LOGO) && page.contains(PHOTO));
    }
}
