//! Numbers as an operator reads them.

/// A count: `1,203,222`.
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate: as many decimals as it takes to see that it is not 0.
pub fn rate(number: f64) -> String {
    match number {
        ..=0.0 => "0".to_owned(),
        ..0.01 => "<0.01".to_owned(),
        ..0.995 => format!("{number:.2}"),
        ..99.95 => format!("{number:.1}"),
        _ => count(number.round() as u64),
    }
}

/// A part of a whole: `4.2 %`.
pub fn share(part: f64) -> String {
    match part * 100.0 {
        percent @ 9.95.. => format!("{percent:.0} %"),
        percent if percent > 0.0 && percent < 0.1 => "<0.1 %".to_owned(),
        percent => format!("{} %", (percent * 10.0).round() / 10.0),
    }
}

/// A time that machines take: `0.31 ms`.
pub fn latency(seconds: f64) -> String {
    let milliseconds = seconds * 1000.0;
    match milliseconds {
        ..=0.0 => "0 ms".to_owned(),
        ..0.01 => "<0.01 ms".to_owned(),
        ..9.995 => format!("{milliseconds:.2} ms"),
        ..999.5 => format!("{milliseconds:.0} ms"),
        _ => duration(seconds),
    }
}

/// A time that people take: `3 min 20 s`.
pub fn duration(seconds: f64) -> String {
    if seconds < 9.95 {
        return format!("{seconds:.1} s");
    }
    let seconds = seconds.round() as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

/// A size of memory: `512k`, `11.7m`, as nginx writes it, or near to it.
pub fn size(bytes: u64) -> String {
    let (shift, unit) = match bytes {
        0..1024 => return bytes.to_string(),
        1024..0x10_0000 => (10, 'k'),
        _ => (20, 'm'),
    };
    match (bytes >> shift, (bytes % (1 << shift) * 10) >> shift) {
        (whole @ 100.., _) | (whole, 0) => format!("{whole}{unit}"),
        (whole, tenth) => format!("{whole}.{tenth}{unit}"),
    }
}

/// A time of day, of seconds since 1970: `16:03:12 UTC`.
pub fn time_of_day(time: u64) -> String {
    let second = time % 86400;
    format!("{:02}:{:02}:{:02} UTC", second / 3600, second / 60 % 60, second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        let counts = [0, 999, 1000, 1_203_222].map(count);
        assert_eq!(counts, ["0", "999", "1,000", "1,203,222"]);
        let rates = [0.0, 0.001, 0.25, 0.999, 3.25, 99.96, 12_345.6].map(rate);
        assert_eq!(rates, ["0", "<0.01", "0.25", "1.0", "3.2", "100", "12,346"]);
        let shares = [0.0, 0.0001, 0.042, 0.0996, 1.0].map(share);
        assert_eq!(shares, ["0 %", "<0.1 %", "4.2 %", "10 %", "100 %"]);
        let latencies = [0.0, 0.000_001, 0.000_31, 0.0123, 2.0].map(latency);
        assert_eq!(latencies, ["0 ms", "<0.01 ms", "0.31 ms", "12 ms", "2.0 s"]);
        let durations = [0.0, 9.96, 59.6, 200.0, 3600.0 * 5.5, 86400.0 * 3.5].map(duration);
        assert_eq!(
            durations,
            ["0.0 s", "10 s", "1 min 0 s", "3 min 20 s", "5 h 30 min", "3 d 12 h"]
        );
        let sizes = [100, 4096, 8191, 200_000, 10 << 20, (10 << 20) + (1 << 19), (200 << 20) + 5];
        assert_eq!(sizes.map(size), ["100", "4k", "7.9k", "195k", "10m", "10.5m", "200m"]);
        assert_eq!(time_of_day(1_763_827_392), "16:03:12 UTC");
    }
}
