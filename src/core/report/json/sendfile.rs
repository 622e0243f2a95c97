//! Lookups of `http_sendfile` as JSON.

use std::io;

use super::quantiles_seconds;
use crate::core::decimal::Decimal;
use crate::core::histogram::Histogram;
use crate::core::json::{Members, Object};
use crate::core::report::{Cache, Sendfile, Server, LOOKUP_BOUNDS};

impl Members for Sendfile {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        object
            .object("lookups", |lookups| {
                self.by_outcome().try_for_each(|(outcome, count, time)| {
                    lookups.object(outcome, |object| {
                        let seconds = Decimal::of_millionths(time);
                        object.member("count", &count)?.member("seconds", &seconds).map(drop)
                    })?;
                    Ok(())
                })
            })?
            .member("in_flight", &self.in_flight)?
            .object("latency", |object| latency(&self.latency, object))?
            .member("servers", &self.servers)?
            .object("caches", |caches| {
                self.caches.iter().try_for_each(|cache| caches.member(&cache.name, cache).map(drop))
            })?;
        Ok(())
    }
}

fn latency(times: &Histogram, object: &mut Object) -> io::Result<()> {
    let seconds = Decimal::of_millionths;
    object.member("count", &times.count())?.member("sum_seconds", &seconds(times.sum()))?;
    quantiles_seconds(times, seconds, object)?;
    object.objects("buckets", times.cumulative(&LOOKUP_BOUNDS), |(bound, count), bucket| {
        bucket.member("le_seconds", &bound.map(seconds))?.member("count", &count).map(drop)
    })?;
    // As fine as they are counted, so that who keeps two answers has quantiles of the time between.
    let filled = times.buckets().filter(|(_, _, count)| *count > 0);
    object.objects("distribution", filled, |(_, largest, count), bucket| {
        bucket.member("to_seconds", &seconds(largest))?.member("count", &count).map(drop)
    })?;
    Ok(())
}

impl Members for Server {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        object
            .member("address", &self.address)?
            .member("connections", &self.connections)?
            .member("in_flight", &self.in_flight)?
            .member("questions", &self.questions)?
            .member("connects", &self.connects)?
            .member("reconnects", &self.reconnects)?
            .member("failures", &self.failures)?
            .member("timeouts", &self.timeouts)?;
        Ok(())
    }
}

impl Members for Cache {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        object
            .member("size_bytes", &self.size)?
            .member("entries", &self.entries)?
            .member("misses", &self.misses)?
            .member("evicted", &self.evicted)?;
        Ok(())
    }
}
