//! Pure: `/metrics`, from the same document as `status`.
//!
//! What is gone from the document is gone from the text: nothing is remembered between two scrapes. To add a metric, add a line to
//! one of the rooms below; names follow Prometheus' conventions (base units, `_total` at the end of counters and nowhere else, a
//! state as one 0/1 series for each state there is).

use std::{fmt, sync::Arc};

use prometheus_client::{
    collector::Collector,
    encoding::{
        DescriptorEncoder, EncodeGaugeValue, EncodeLabelSet,
        text::{encode, encode_registry},
    },
    metrics::{MetricType, exemplar::Exemplar},
    registry::Registry,
};

use super::snapshot::Snapshot;

mod flows;
mod node;
mod services;
mod vrrp;

#[cfg(test)]
mod tests;

/// A way to write metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The text format 0.0.4, which every tool reads.
    Plain,
    /// OpenMetrics 1.0.0, which Prometheus asks for.
    OpenMetrics,
}

impl Form {
    /// What a client takes, by its `Accept` header. Plain text unless it names OpenMetrics.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let refused = |parameters: &str| {
            parameters.split(';').any(|parameter| {
                let quality = parameter.trim().strip_prefix("q=").map(str::parse::<f32>);
                matches!(quality, Some(Ok(quality)) if quality <= 0.0)
            })
        };
        let named = accept.split(',').any(|one| {
            let (media, parameters) = one.split_once(';').unwrap_or((one, ""));
            media
                .trim()
                .eq_ignore_ascii_case("application/openmetrics-text")
                && !refused(parameters)
        });
        if named {
            Self::OpenMetrics
        } else {
            Self::Plain
        }
    }

    /// The `Content-Type` of the text.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All metrics.
///
/// # Errors
/// None that is known: a `String` takes everything.
pub fn text(snapshot: &Arc<Snapshot>, form: Form) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let snapshot = Arc::clone(snapshot);
    registry.register_collector(Box::new(Everything { snapshot, form }));
    let mut text = String::new();
    match form {
        Form::Plain => encode_registry(&mut text, &registry)?,
        Form::OpenMetrics => encode(&mut text, &registry)?,
    }
    Ok(text)
}

#[derive(Debug)]
struct Everything {
    snapshot: Arc<Snapshot>,
    form: Form,
}

impl Collector for Everything {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page {
            encoder,
            form: self.form,
        };
        node::write(&mut page, &self.snapshot)?;
        services::write(&mut page, &self.snapshot)?;
        flows::write(&mut page, &self.snapshot)?;
        vrrp::write(&mut page, &self.snapshot)
    }
}

/// Where metrics are written to, one name after the other.
struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
    form: Form,
}

impl Page<'_> {
    /// What only grows. `name` is without the `_total` that it gets.
    fn counters<L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        match self.form {
            Form::OpenMetrics => {
                let kind = MetricType::Counter;
                let mut metric = self.encoder.encode_descriptor(name, help, None, kind)?;
                for (labels, value) in samples {
                    metric
                        .encode_family(&labels)?
                        .encode_counter(&value, NO_EXEMPLAR)?;
                }
                Ok(())
            }
            // There, the name in the head is that of the samples. The encoder knows OpenMetrics only, and adds nothing to a gauge's.
            Form::Plain => {
                let name = format!("{name}_total");
                self.numbers(&name, help, MetricType::Counter, samples)
            }
        }
    }

    /// What only grows, and of which there is one.
    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let kind = MetricType::Counter;
        match self.form {
            Form::OpenMetrics => {
                let mut metric = self.encoder.encode_descriptor(name, help, None, kind)?;
                metric.encode_counter(&value, NO_EXEMPLAR)
            }
            Form::Plain => {
                let name = format!("{name}_total");
                let mut metric = self.encoder.encode_descriptor(&name, help, None, kind)?;
                metric.encode_gauge(&value)
            }
        }
    }

    /// What goes up and down, and of which there is one.
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        let kind = MetricType::Gauge;
        let mut metric = self.encoder.encode_descriptor(name, help, None, kind)?;
        metric.encode_gauge(&value)
    }

    /// What goes up and down.
    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        self.numbers(name, help, MetricType::Gauge, samples)
    }

    /// A histogram: sum, and counts with their upper bounds.
    fn histogram(
        &mut self,
        name: &str,
        help: &str,
        sum: f64,
        buckets: &[(f64, u64)],
    ) -> fmt::Result {
        let count = buckets.iter().map(|(_, count)| count).sum();
        let kind = MetricType::Histogram;
        let mut metric = self.encoder.encode_descriptor(name, help, None, kind)?;
        metric.encode_histogram::<Labels<'_, 0>>(sum, count, buckets, None)
    }

    fn numbers<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let mut metric = self.encoder.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in samples {
            metric.encode_family(&labels)?.encode_gauge(&value)?;
        }
        Ok(())
    }
}

/// Names and values of a series.
type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// An example of what was counted; there are none.
const NO_EXEMPLAR: Option<&Exemplar<Labels<'static, 0>, f64>> = None;

/// 1 or 0.
fn yes(is: bool) -> u32 {
    u32::from(is)
}

/// Milliseconds, as the seconds that Prometheus wants.
fn seconds(millis: u64) -> f64 {
    std::time::Duration::from_millis(millis).as_secs_f64()
}
