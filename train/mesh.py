"""Devices and processes: one data axis, parameters everywhere."""

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxnvc.errors import UsageError

_AXIS = "data"


def start_distributed(
    coordinator: str | None, processes: int | None, index: int | None
):
    """Joins the processes of a run, before any other use of JAX.

    Args:
      coordinator: `host:port` of process 0; None and the rest None lets JAX find the
        cluster by itself, as on a TPU slice.
      processes: how many there are.
      index: which one this is.
    """
    jax.distributed.initialize(
        coordinator_address=coordinator, num_processes=processes, process_id=index
    )


def data_mesh(devices=None) -> Mesh:
    """Returns devices on one axis; None stands for all of all processes."""
    return Mesh(np.array(jax.devices() if devices is None else devices), (_AXIS,))


def replicate(mesh: Mesh, tree):
    """Puts equal values of all processes onto every device."""
    everywhere = NamedSharding(mesh, PartitionSpec())

    def put(value):
        value = np.asarray(value)
        return jax.make_array_from_callback(
            value.shape, everywhere, lambda index: value[index]
        )

    return jax.tree.map(put, tree)


def shard(mesh: Mesh, local):
    """Joins the processes' rows to arrays whose first axis lies over the mesh."""
    rows = NamedSharding(mesh, PartitionSpec(_AXIS))
    return jax.tree.map(
        lambda value: jax.make_array_from_process_local_data(rows, value), local
    )


def local_rows(mesh: Mesh, batch: int) -> range:
    """Returns which rows of a global batch this process provides.

    Raises:
      UsageError: the devices cannot share the batch out evenly.
    """
    devices = mesh.devices.size
    if batch % devices:
        raise UsageError(
            f"Stage.batch is {batch}, but {devices} devices share a batch evenly; "
            f"choose a multiple of {devices}."
        )
    each = batch // jax.process_count()
    return range(each * jax.process_index(), each * (jax.process_index() + 1))
