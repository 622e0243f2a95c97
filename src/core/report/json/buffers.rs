//! Buffers as JSON: what was measured, what is set, what is advised.

use std::io;

use super::QUANTILES;
use crate::core::advice::{self, Advice, Directive, Effect, State, SAMPLES_MIN};
use crate::core::decimal::Decimal;
use crate::core::histogram::Histogram;
use crate::core::json::{Members, Object};
use crate::core::report::buffers::{
    Buffers, Chain, Host, Location, Measured, Protocol, Server, Settings, Upstream,
    UpstreamSettings,
};

impl Members for Buffers {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        object
            .member("host", &self.host)?
            .member("unmeasured", &self.unmeasured)?
            .objects("locations", &self.locations, |it, object| location(it, &self.host, object))?
            .objects("servers", &self.servers, server)?;
        Ok(())
    }
}

fn location(location: &Location, host: &Host, object: &mut Object) -> io::Result<()> {
    object
        .member("server", &location.server)?
        .member("location", &location.location)?
        .member("requests", &location.measured.requests)?
        .member("budget_bytes", &location.budget)?
        .member("measured", &location.measured)?
        .member("settings", &location.settings)?
        .member("advice", &advice::of_location(location, host))?;
    Ok(())
}

fn server(server: &Server, object: &mut Object) -> io::Result<()> {
    object
        .member("server", &server.server)?
        .member("header", &server.header)?
        .member("header_too_big", &server.header_too_big)?
        .object("settings", |settings| {
            settings
                .member("client_header_buffer_size", &server.client_header_buffer_size)?
                .member("large_client_header_buffers", &server.large_client_header_buffers)?;
            Ok(())
        })?
        .member("advice", &advice::of_server(server))?;
    Ok(())
}

impl Members for Host {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        object
            .member("page_size", &self.page_size)?
            .member("tcp_rmem_max", &self.tcp_rmem_max)?
            .member("tcp_wmem_max", &self.tcp_wmem_max)?
            .member("rmem_max", &self.rmem_max)?
            .member("wmem_max", &self.wmem_max)?;
        Ok(())
    }
}

impl Members for Measured {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        object
            .member("request_body", &self.body)?
            .member("request_bodies_spilled", &self.bodies_spilled)?
            .member("upstream", &self.upstream)?
            .member("response", &self.response)?
            .object("gzip_ratio", |object| {
                object
                    .member("count", &self.gzip_ratio.count())?
                    .member("mean", &self.gzip_ratio.mean().map(Decimal::of_hundredths))?;
                QUANTILES.iter().try_for_each(|(name, permille)| {
                    let ratio = self.gzip_ratio.quantile(*permille);
                    object.member(name, &ratio.map(Decimal::of_hundredths)).map(drop)
                })
            })?;
        Ok(())
    }
}

impl Members for Upstream {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        object
            .member("protocol", &self.protocol().map(Protocol::prefix))?
            .member("header", &self.header)?
            .member("response", &self.response)?
            .member("spilled", &self.spilled)?
            .member("header_too_big", &self.header_too_big)?;
        Ok(())
    }
}

/// Sizes.
impl Members for Histogram {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        object.member("count", &self.count())?.member("mean", &self.mean())?;
        QUANTILES.iter().try_for_each(|(name, permille)| {
            object.member(name, &self.quantile(*permille)).map(drop)
        })
    }
}

impl Members for Chain {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        object.member("number", &self.number)?.member("size", &self.size)?;
        Ok(())
    }
}

impl Members for Settings {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        object
            .member("client_body_buffer_size", &self.client_body_buffer_size)?
            .member("gzip", &self.gzip)?
            .member("gzip_buffers", &self.gzip_buffers)?
            .member("output_buffers", &self.output_buffers)?
            .member("sendfile", &self.sendfile)?;
        self.upstream.iter().try_for_each(|upstream| upstream.write_members(object))
    }
}

impl Members for UpstreamSettings {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        let protocol = self.protocol.prefix();
        object.joined(protocol, "buffer_size", &self.buffer_size)?;
        // gRPC has no other.
        if self.protocol != Protocol::Grpc {
            object
                .joined(protocol, "buffering", &self.buffering)?
                .joined(protocol, "buffers", &self.buffers)?
                .joined(protocol, "busy_buffers_size", &self.busy_buffers_size)?
                .joined(protocol, "temp_file_write_size", &self.temp_file_write_size)?
                .joined(protocol, "max_temp_file_size", &self.max_temp_file_size)?;
        }
        Ok(())
    }
}

impl Members for Advice {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        let state = match self.state {
            State::TooFewSamples => "too_few_samples",
            State::Fine => "fine",
            State::Change => "change",
        };
        object
            .member("state", state)?
            .member("samples", &self.samples)?
            .member("needed", &SAMPLES_MIN)?
            .member("directives", &self.directives)?
            .member("remarks", &self.remarks)?
            .member("effect", &self.effect)?;
        Ok(())
    }
}

impl Members for Directive {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        object
            .member("directive", &self.name)?
            .member("current", &self.current)?
            .member("advised", &self.advised)?
            .member("reason", &self.reason)?;
        Ok(())
    }
}

impl Members for Effect {
    fn write_members(&self, object: &mut Object) -> io::Result<()> {
        let share = Decimal::of_thousandths;
        object
            .member("memory_before_bytes", &self.memory_before)?
            .member("memory_after_bytes", &self.memory_after)?
            .member("one_buffer_before", &self.one_buffer_before.map(share))?
            .member("one_buffer_after", &share(self.one_buffer_after))?
            .member("spilled_before", &self.spilled_before.map(share))?
            .member("spilled_after", &share(self.spilled_after))?;
        Ok(())
    }
}
