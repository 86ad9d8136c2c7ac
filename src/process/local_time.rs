//! The time of day as people here read it: PHP's `date('Y-m-d H:i:s')`.
//!
//! In the system's time zone (`TZ`, `/etc/localtime`), because neither a log line nor a screen says which one it is in, and
//! they stand beside those of other programs.

use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `2026-11-23 06:11:34`; a time that no calendar has is empty.
pub(super) fn format(time: SystemTime) -> String {
    in_zone(time, TimeZone::system())
}

fn in_zone(time: SystemTime, zone: TimeZone) -> String {
    let Ok(timestamp) = Timestamp::try_from(time) else { return String::new() };
    timestamp.to_zoned_datetime(zone).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use jiff::tz;

    use super::*;

    #[test]
    fn a_time_reads_as_in_php_in_any_zone() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_414_294);
        assert_eq!(in_zone(time, TimeZone::UTC), "2026-11-23 06:11:34");
        assert_eq!(in_zone(time, TimeZone::fixed(tz::offset(8))), "2026-11-23 14:11:34");
        assert_eq!(in_zone(time, TimeZone::fixed(tz::offset(-7))), "2026-11-22 23:11:34");
    }
}
