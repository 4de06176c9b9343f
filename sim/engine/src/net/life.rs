//! Crashes, power losses, boots.

use squall_core::host::NodeIx;

use super::{
    Net,
    connection::{CLIENT, SERVER},
};

/// The life of nodes. All of these may be called again, and at any moment of a node's life.
impl Net {
    /// The process of `node` is gone, and its kernel cleans up: a FIN on each connection after all that was written,
    /// or a reset where input was unread.
    pub fn crash(&self, node: NodeIx) {
        let was_up = self.die(node);
        self.change(
            |connection| was_up && connection.is_on(node),
            |_| (),
            |connection, fabric, aftermath, now| {
                for end in [CLIENT, SERVER] {
                    if connection.ends[end].node != node || !connection.ends[end].held {
                        continue;
                    }
                    if end == SERVER && connection.listening.is_some() {
                        connection.deny(fabric, aftermath, now);
                    } else {
                        connection.close(end, fabric, aftermath, now);
                    }
                }
            },
        );
    }

    /// The machine is gone: silence. Its peers retransmit into nothing until it is back and answers with a reset.
    pub fn power_loss(&self, node: NodeIx) {
        self.die(node);
        self.change(
            |connection| connection.is_on(node),
            |fabric| fabric.node_mut(node).kernel = false,
            |connection, _, aftermath, _| {
                for end in [CLIENT, SERVER] {
                    if connection.ends[end].node == node {
                        connection.vanish(end, aftermath);
                    }
                }
            },
        );
    }

    /// The node is dying in the middle of a poll: nothing leaves it or reaches it, until [`crash`](Net::crash) or
    /// [`power_loss`](Net::power_loss) tells how it died.
    pub fn freeze(&self, node: NodeIx) {
        self.change(
            |connection| connection.is_on(node),
            |fabric| {
                let node = fabric.node_mut(node);
                node.frozen = node.process;
            },
            |_, _, _, _| (),
        );
    }

    /// The machine is up and a process may use the network. Connections of an earlier life stay dead.
    pub fn boot(&self, node: NodeIx) {
        self.change(
            |connection| connection.is_on(node),
            |fabric| {
                let node = fabric.node_mut(node);
                node.kernel = true;
                node.process = true;
            },
            |connection, fabric, _, now| connection.resume(fabric, now),
        );
    }

    /// Ends the process of `node` and closes its listening sockets. Whether there was one.
    fn die(&self, node: NodeIx) -> bool {
        self.turn(|state, aftermath, _| {
            state.datagrams.forget(node, aftermath);
            let node = state.fabric.node_mut(node);
            node.frozen = false;
            for (_, mut socket) in std::mem::take(&mut node.listening) {
                socket.waiter.forget(aftermath);
            }
            node.life += u32::from(node.process);
            std::mem::take(&mut node.process)
        })
    }
}
