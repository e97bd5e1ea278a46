//! Cells that a container gives to all of its processes.

use super::columns::Id;
use crate::container::Container;
use crate::output::lazy_table::Value;

/// The value of a column that is the same for all processes of a container.
pub(super) fn container_value(id: Id, container: &Container) -> Value<'_> {
    match id {
        Id::Runtime => Value::text(container.runtime.name()),
        Id::Engine => Value::text(container.engine),
        Id::Name => Value::maybe(container.name.as_deref()),
        Id::Id => Value::text(&container.id),
        Id::Image => Value::maybe(container.image.as_deref()),
        Id::Pod => Value::maybe(container.pod.as_deref()),
        Id::PodNamespace => Value::maybe(container.pod_namespace.as_deref()),
        Id::Hostname => Value::maybe(container.hostname.as_deref()),
        Id::Labels => Value::Pairs((&container.labels[..]).into()),
        Id::Created => Value::maybe(container.created.as_deref()),
        Id::Chain => {
            let mut chain: Vec<String> = container.chain().map(ToString::to_string).collect();
            chain.reverse();
            Value::List(chain)
        }
        _ => Value::None,
    }
}
