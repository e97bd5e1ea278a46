//! One module an applet. They never import one another: what two need moves down.

pub mod ctr_ps;
pub mod nsenter;
