//! The parameters of a query or a form, by the rules of PHP's `parse_str`: `a=1`, `a[]=1`, `a[k][]=1`.
//!
//! In scope: names and values, arrays in arrays, and the two places of a request they come from. Out of scope: multipart
//! forms and JSON.
//!
//! Invariants: at most [`COUNT`] parameters are taken and at most [`DEPTH`] arrays stand in each other, whatever a client
//! sends, so nothing here recurses further; a name stands once in an array, where it first came; nothing is taken apart
//! before it is asked for, and then once.
//!
//! Numbers are those of PHP 8.2, of which the recordings are: what follows a negative index is 0.

use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::parts::cut;
use super::request::Request;

/// PHP's `max_input_vars`: parameters behind these are not looked at.
const COUNT: usize = 1000;
/// PHP's `max_input_nesting_level`: a parameter with more brackets is dropped, with all that came under its name.
const DEPTH: usize = 64;

/// Longer names are hashed.
const SHORT: usize = 64;
/// In a query up to this length, one parameter is found without taking all apart.
const SHORT_QUERY: usize = 256;

/// One parameter: text, or an array of parameters. See [`Params`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Param {
    /// Of `a=1`.
    Text(String),
    /// Of `a[]=1` or `a[k]=1`.
    Array(Params),
}

/// Parameters by their names, in the order they came: PHP's array. Elements of `a[]` are named `0`, `1`, ….
///
/// ```
/// use workerman::Params;
///
/// let params = Params::parse("color[]=red&color[]=blue&size[min]=1&page=2");
/// let colors = params.get_array("color").into_iter().flatten();
/// assert_eq!(colors.filter_map(|(_, color)| color.as_str()).collect::<Vec<_>>(), ["red", "blue"]);
/// assert_eq!(params.get_array("size").and_then(|size| size.get("min")), Some("1"));
/// assert_eq!(params.get("page"), Some("2"));
/// ```
#[derive(Clone, Default)]
pub struct Params {
    entries: Vec<Entry>,
    /// The number of the next element of `a[]`.
    next: u64,
}

#[derive(Clone)]
struct Entry {
    /// Of a long name: a thousand long names that differ at their ends only are not compared with each other.
    hash: u64,
    name: String,
    value: Param,
}

/// What stands between two brackets.
#[derive(Clone, Copy)]
enum Key<'a> {
    Name(&'a str),
    /// `[]`: one after the highest number so far.
    Next,
}

/// The brackets behind a name, from left to right; it ends at what is none, or is not closed.
#[derive(Clone)]
struct Keys<'a>(&'a str);

impl Request {
    /// A parameter of the query, decoded (`+` and `%xx`; a `%` that begins no byte stays). The last one wins when a name
    /// comes twice; a name without `=` has the value `""`. Bytes that are not UTF-8 become U+FFFD.
    ///
    /// Names are as PHP has them: dots and spaces are `_` (`a.b=1` is found under `a_b`), and names with brackets make
    /// arrays, which are no text: see [`get_array`](Self::get_array). 1,000 parameters are looked at.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let page: u32 = request.get("page").and_then(|page| page.parse().ok()).unwrap_or(1);
    /// # }
    /// ```
    pub fn get(&self, name: &str) -> Option<&str> {
        if self.parts.query.get().is_none()
            && let Ok(value) = plain(self.query_and_fragment(), name)
        {
            return value;
        }
        self.get_all().get(name)
    }

    /// An array of the query: of `a[]=1&a[k]=2`, under `a`.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let ids: Vec<&str> =
    ///     request.get_array("id").into_iter().flatten().filter_map(|(_, id)| id.as_str()).collect();
    /// # }
    /// ```
    pub fn get_array(&self, name: &str) -> Option<&Params> {
        self.get_all().get_array(name)
    }

    /// All parameters of the query; PHP's `get()` without a name.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// for (name, value) in request.get_all() {
    ///     println!("{name}: {value:?}");
    /// }
    /// # }
    /// ```
    pub fn get_all(&self) -> &Params {
        self.parts.query.get_or_init(|| Params::parse(self.query_string()))
    }

    /// A field of the form in the body, by the rules of [`get`](Self::get).
    ///
    /// As in PHP, a body is read as a form whatever its type; but for JSON, which is read by `json` (with the feature of
    /// that name). Of a multipart form these are the parts that are no [`file`](Self::file).
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let user = request.post("user").unwrap_or_default();
    /// # }
    /// ```
    pub fn post(&self, name: &str) -> Option<&str> {
        self.post_all().get(name)
    }

    /// An array of the form in the body: of `a[]=1&a[k]=2`, under `a`.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// let chosen = request.post_array("box").map_or(0, |boxes| boxes.len());
    /// # }
    /// ```
    pub fn post_array(&self, name: &str) -> Option<&Params> {
        self.post_all().get_array(name)
    }

    /// All fields of the form in the body; PHP's `post()` without a name.
    ///
    /// ```
    /// # fn example(request: &workerman::Request) {
    /// for (name, value) in request.post_all() {
    ///     println!("{name}: {value:?}");
    /// }
    /// # }
    /// ```
    pub fn post_all(&self) -> &Params {
        &self.submitted().fields
    }
}

impl Param {
    /// The text, if it is no array.
    ///
    /// ```
    /// assert_eq!(workerman::Param::Text("1".into()).as_str(), Some("1"));
    /// ```
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Array(_) => None,
        }
    }

    /// The array, if it is one.
    ///
    /// ```
    /// assert_eq!(workerman::Param::Text("1".into()).as_array(), None);
    /// ```
    pub fn as_array(&self) -> Option<&Params> {
        match self {
            Self::Text(_) => None,
            Self::Array(array) => Some(array),
        }
    }

    /// What is text so far becomes an empty array.
    fn make_array(&mut self) -> &mut Params {
        if let Self::Text(_) = self {
            *self = Self::Array(Params::default());
        }
        match self {
            Self::Array(array) => array,
            Self::Text(_) => unreachable!("it has just been made an array"),
        }
    }
}

impl Params {
    /// What a query or an urlencoded form holds.
    ///
    /// ```
    /// let params = workerman::Params::parse("name=J%C3%BCrgen+K&flag");
    /// assert_eq!((params.get("name"), params.get("flag")), (Some("J\u{fc}rgen K"), Some("")));
    /// ```
    #[doc(alias = "parse_str")]
    pub fn parse(encoded: impl AsRef<[u8]>) -> Self {
        let mut params = Self::default();
        pairs(encoded.as_ref()).take(COUNT).for_each(|(name, value)| params.put(&name, value));
        params
    }

    pub(super) const fn new() -> Self {
        Self { entries: Vec::new(), next: 0 }
    }

    /// Those of names and values that are decoded already.
    pub(super) fn of<'a>(pairs: impl Iterator<Item = (&'a str, Cow<'a, str>)>) -> Self {
        let mut params = Self::default();
        pairs.take(COUNT).for_each(|(name, value)| params.put(name, value));
        params
    }

    /// The text under a name; `None` if there is an array.
    ///
    /// ```
    /// let params = workerman::Params::parse("a=1&b[]=2");
    /// assert_eq!((params.get("a"), params.get("b"), params.get("c")), (Some("1"), None, None));
    /// ```
    pub fn get(&self, name: &str) -> Option<&str> {
        self.param(name)?.as_str()
    }

    /// The array under a name; `None` if there is text.
    ///
    /// ```
    /// let params = workerman::Params::parse("a=1&b[]=2&b[]=3");
    /// assert_eq!(params.get_array("b").and_then(|b| b.get("1")), Some("3"));
    /// assert_eq!(params.get_array("a"), None);
    /// ```
    pub fn get_array(&self, name: &str) -> Option<&Self> {
        self.param(name)?.as_array()
    }

    /// Names and what is under them.
    ///
    /// ```
    /// let params = workerman::Params::parse("b=1&a=2&b=3");
    /// assert_eq!(params.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["b", "a"]);
    /// ```
    pub fn iter(&self) -> ParamsIter<'_> {
        ParamsIter(self.entries.iter())
    }

    /// How many names there are.
    ///
    /// ```
    /// assert_eq!(workerman::Params::parse("a[]=1&a[]=2").len(), 1);
    /// ```
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    ///
    /// ```
    /// assert!(workerman::Params::parse("=1&&").is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn param(&self, name: &str) -> Option<&Param> {
        self.entries.iter().find(|entry| entry.name == name).map(|entry| &entry.value)
    }

    /// Puts a value where its name and the brackets behind it say.
    fn put(&mut self, name: &str, value: Cow<'_, str>) {
        let Some((front, keys)) = split(name) else { return };
        if keys.are_too_many() {
            self.entries.retain(|entry| entry.name != front);
            return;
        }
        let mut array = self;
        let mut key = Key::Name(&front);
        for inner in keys {
            let Some(place) = array.place(key) else { return };
            array = place.make_array();
            key = inner;
        }
        if let Some(place) = array.place(key) {
            *place = Param::Text(value.into_owned());
        }
    }

    /// What is under a key, made if it is new. None if there is no number after the highest.
    fn place(&mut self, key: Key<'_>) -> Option<&mut Param> {
        let name = match key {
            Key::Name(name) => Cow::Borrowed(name),
            Key::Next if self.next > MAX_INDEX => return None,
            Key::Next => Cow::Owned(self.next.to_string()),
        };
        let hash = hash(&name);
        let known = self.entries.iter().position(|entry| entry.hash == hash && entry.name == name);
        let at = known.unwrap_or_else(|| {
            if let Some(index) = index(&name) {
                self.next = self.next.max(index + 1);
            }
            self.entries.push(Entry { hash, name: name.into_owned(), value: Param::Text(String::new()) });
            self.entries.len() - 1
        });
        self.entries.get_mut(at).map(|entry| &mut entry.value)
    }
}

/// A parameter of a short query in which everything stands for itself: nothing is taken apart for that. Of others, an error.
fn plain<'a>(query: &'a str, name: &str) -> Result<Option<&'a str>, ()> {
    let mut value = None;
    if query.len() > SHORT_QUERY || name.is_empty() {
        return Err(());
    }
    let mut rest = query;
    while !rest.is_empty() {
        let end = rest.bytes().position(|byte| matches!(byte, b'=' | b'&' | b'%' | b'+' | b'.' | b'[' | b'#'));
        let (key, behind) = rest.split_at_checked(end.unwrap_or(rest.len())).ok_or(())?;
        let text = match behind.as_bytes().first() {
            Some(b'%' | b'+' | b'.' | b'[' | b'#') => return Err(()),
            Some(b'=') => behind.get(1..).unwrap_or_default(),
            _ => behind,
        };
        let end = text.bytes().position(|byte| matches!(byte, b'&' | b'%' | b'+' | b'#'));
        let (text, behind) = text.split_at_checked(end.unwrap_or(text.len())).ok_or(())?;
        rest = match behind.as_bytes().first() {
            None => "",
            Some(b'&') => behind.get(1..).unwrap_or_default(),
            Some(_) => return Err(()),
        };
        if key == name {
            value = Some(text);
        }
    }
    Ok(value)
}

/// Names and values of a query, decoded. What is not encoded, which is most, is taken as it is.
fn pairs(encoded: &[u8]) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    encoded.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()).filter_map(|pair| {
        match std::str::from_utf8(pair) {
            Ok(plain) if memchr::memchr2(b'%', b'+', pair).is_none() => {
                let (name, value) = cut(plain, b'=').unwrap_or((plain, ""));
                Some((name.into(), value.into()))
            }
            _ => form_urlencoded::parse(pair).next(),
        }
    })
}

/// Of a short name, nothing: that is compared as quickly.
fn hash(name: &str) -> u64 {
    if name.len() <= SHORT {
        return 0;
    }
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    hasher.finish()
}

/// PHP's numbers have 64 bits, of which one is the sign.
const MAX_INDEX: u64 = i64::MAX.unsigned_abs();

/// The number that a name is to PHP, unless it is below 0: `7`, but not `07` or `+7`.
fn index(name: &str) -> Option<u64> {
    let plain = name == "0" || name.starts_with(|first: char| matches!(first, '1'..='9'));
    name.parse().ok().filter(|index| plain && *index <= MAX_INDEX)
}

/// What stands before the brackets, fit for a variable of PHP, and the brackets. None for what PHP has no name for.
fn split(name: &str) -> Option<(Cow<'_, str>, Keys<'_>)> {
    if !name.is_empty() && !name.bytes().any(|byte| matches!(byte, b'\0' | b' ' | b'.' | b'[')) {
        return Some((Cow::Borrowed(name), Keys("")));
    }
    // Names end at a NUL: they are C's strings.
    let name = name.split('\0').next()?.trim_start_matches(' ');
    let (front, brackets) = name.split_at_checked(name.find('[').unwrap_or(name.len()))?;
    if front.is_empty() {
        return None;
    }
    let is_array = Keys(brackets).next().is_some();
    let (front, brackets) = if is_array { (front, brackets) } else { (name, "") };
    let odd = [' ', '.', '['];
    let front = if front.contains(odd) { front.replace(odd, "_").into() } else { Cow::Borrowed(front) };
    Some((front, Keys(brackets)))
}

impl Keys<'_> {
    fn are_too_many(&self) -> bool {
        let mut keys = self.clone();
        // One that is not closed counts as well.
        keys.by_ref().take(DEPTH).count() == DEPTH && keys.0.starts_with('[')
    }
}

impl<'a> Iterator for Keys<'a> {
    type Item = Key<'a>;

    fn next(&mut self) -> Option<Key<'a>> {
        let inside = self.0.strip_prefix('[')?;
        let without_space = inside.strip_prefix([' ', '\t', '\n', '\x0b', '\x0c', '\r']).unwrap_or(inside);
        if let Some(rest) = without_space.strip_prefix(']') {
            self.0 = rest;
            return Some(Key::Next);
        }
        let (name, rest) = inside.split_once(']')?;
        self.0 = rest;
        Some(Key::Name(name))
    }
}

/// What [`Params::iter`] gives.
#[derive(Clone, Debug)]
pub struct ParamsIter<'a>(std::slice::Iter<'a, Entry>);

impl<'a> Iterator for ParamsIter<'a> {
    type Item = (&'a str, &'a Param);

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|entry| (entry.name.as_str(), &entry.value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.0.size_hint()
    }
}

impl<'a> IntoIterator for &'a Params {
    type Item = (&'a str, &'a Param);
    type IntoIter = ParamsIter<'a>;

    fn into_iter(self) -> ParamsIter<'a> {
        self.iter()
    }
}

impl PartialEq for Params {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other)
    }
}

impl Eq for Params {}

impl fmt::Debug for Params {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self).finish()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {:?}", self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As PHP would show it, in short.
    fn shown(params: &Params) -> String {
        let show = |(name, value): (&str, &Param)| match value {
            Param::Text(text) => format!("{name}={text}"),
            Param::Array(array) => format!("{name}={{{}}}", shown(array)),
        };
        params.iter().map(show).collect::<Vec<_>>().join(" ")
    }

    proptest::proptest! {
        #[test]
        fn a_parameter_found_at_once_is_the_one_found_by_taking_all_apart(query in "[ab=&%+.\\[\\]1]{0,30}", name in "[ab.]{0,2}") {
            if let Ok(value) = plain(&query, &name) {
                assert_eq!(value, Params::parse(&query).get(&name), "{name} in {query}");
            }
        }
    }

    #[test]
    fn a_short_query_is_not_taken_apart_for_one_parameter() {
        assert_eq!(plain("id=1&flag&id=2&v=1.5&w=[", "id"), Ok(Some("2")));
        assert_eq!(plain("id=1&flag", "flag"), Ok(Some("")));
        assert_eq!(plain("id=1", "x"), Ok(None));
        for odd in ["a%=1", "a=%", "a=+", "a.b=1", "a[]=1", "a#", "a=1#"] {
            assert_eq!(plain(odd, "a"), Err(()), "{odd}");
        }
    }

    #[test]
    fn names_and_brackets_mean_what_they_mean_to_php() {
        let table = [
            // What stands once, twice, without a value, or not at all
            ("a=1&b=2&a=3", "a=3 b=2"),
            ("a&b=&=c&&d==", "a= b= d=="),
            ("", ""),
            ("&&=&", ""),
            // Lists and maps
            ("a[]=1&a[]=2", "a={0=1 1=2}"),
            ("a[k]=1&a[l]=2&a[k]=3", "a={k=3 l=2}"),
            ("a[k][]=1&a[k][]=2&a[][x]=3&a[][x]=4", "a={k={0=1 1=2} 0={x=3} 1={x=4}}"),
            ("a[]=1&a=2", "a=2"),
            ("a=1&a[]=2", "a={0=2}"),
            ("a[k]=1&a[k][l]=2", "a={k={l=2}}"),
            ("a%5Bk%5D=1", "a={k=1}"),
            // Numbers
            ("a[3]=x&a[]=y&a[1]=z&a[]=u", "a={3=x 4=y 1=z 5=u}"),
            ("a[07]=x&a[]=y&a[%2B8]=z&a[]=u", "a={07=x 0=y +8=z 1=u}"),
            ("a[-5]=x&a[]=y", "a={-5=x 0=y}"),
            ("a[9223372036854775806]=x&a[]=y&a[]=z&a[][k]=u", "a={9223372036854775806=x 9223372036854775807=y}"),
            ("a[9223372036854775808]=x&a[]=y", "a={9223372036854775808=x 0=y}"),
            // Brackets that are not in pairs
            ("[a]=1&[]=2&[=3&]=4", "]=4"),
            ("a[=1&b[c=2&d[e.f[ g=3", "a_=1 b_c=2 d_e_f__g=3"),
            ("a[b][c=1", "a={b=1}"),
            ("a[][c=1", "a={0=1}"),
            ("a[b]c[d]=1", "a={b=1}"),
            ("a]b=1&c[d]]=2&e[[f]=3", "a]b=1 c={d=2} e={[f=3}"),
            // Names that are none of PHP's
            ("a.b=1&c+d=2&++e=3&f.[g.h]=4", "a_b=1 c_d=2 e=3 f_={g.h=4}"),
            ("a%00b=1&c[d%00]=2&%00=3&+=4", "a=1 c_d=2"),
            ("a[+]=1&a[+k+]=2&a[++]=3&b[%0b]=4", "a={0=1  k =2   =3} b={0=4}"),
        ];
        for (encoded, expected) in table {
            assert_eq!(shown(&Params::parse(encoded.as_bytes())), expected, "{encoded}");
        }
    }

    #[test]
    fn what_is_beyond_the_bounds_is_dropped_as_in_php() {
        let many: String = (0..COUNT + 100).map(|number| format!("a{number}=&")).collect();
        let params = Params::parse(many.as_bytes());
        assert_eq!((params.len(), params.get("a999"), params.get("a1000")), (COUNT, Some(""), None));
        // Those without a name count.
        assert_eq!(Params::parse(["=&".repeat(COUNT - 1), "a=1&b=2".into()].concat().as_bytes()).len(), 1);

        let deep = |levels: usize| format!("a=1&b=2&a{}=3", "[x]".repeat(levels));
        let mut innermost = Params::parse(deep(DEPTH).as_bytes());
        for name in std::iter::once("a").chain(std::iter::repeat_n("x", DEPTH - 1)) {
            innermost = innermost.get_array(name).cloned().unwrap_or_default();
        }
        assert_eq!(shown(&innermost), "x=3");
        assert_eq!(shown(&Params::parse(deep(DEPTH + 1).as_bytes())), "b=2");
        assert_eq!(shown(&Params::parse(deep(100_000).as_bytes())), "b=2");
        assert_eq!(shown(&Params::parse(deep(DEPTH).replace("=3", "[y=3").as_bytes())), "b=2");
    }

    proptest! {
        #[test]
        fn no_bytes_break_it_and_names_are_unique(
            bytes in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200),
                "[ab0-2=&%+.\\[\\] ]{0,200}".prop_map(String::into_bytes),
            ],
        ) {
            fn check(params: &Params) {
                for (at, (name, value)) in params.iter().enumerate() {
                    assert!(params.iter().position(|(other, _)| other == name) == Some(at));
                    if let Param::Array(array) = value {
                        assert!(!array.is_empty());
                        check(array);
                    }
                }
            }
            let params = Params::parse(&bytes);
            check(&params);
            prop_assert_eq!(&params, &params.clone());
        }

        #[test]
        fn plain_names_and_values_come_back(pairs in proptest::collection::vec(("[a-z]{1,9}", "\\PC{0,9}"), 0..20)) {
            let encoded = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let params = Params::parse(encoded.as_bytes());
            for (name, _) in &pairs {
                let last = pairs.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value.as_str());
                prop_assert_eq!(params.get(name), last);
            }
        }
    }
}
