"""Under MPS all work runs through one server process, which is nobody's: its clients hold the GPU."""

from __future__ import annotations

from metering.models import CollectorState


def test_clients_share_the_gpu_and_the_server_holds_nothing(gpus, proc, seconds):
    proc.add(11, PORTAL_TENANT="acme")
    proc.add(12, PORTAL_TENANT="globex")
    proc.add(900, name="nvidia-cuda-mps")
    gpus.are("gpu pids=900 mps=11,12")
    gpus.sample()
    gpus.later(60)
    collected = gpus.sample()

    assert seconds(collected) == {"acme": 30, "globex": 30}
    assert collected.unattributed == ()


def test_a_client_that_is_in_both_lists_counts_once(gpus, proc):
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11,900 mps=11")
    (device,) = gpus.sample().devices

    assert [(each["tenant"], each["processes"]) for each in device.holders] == [("acme", 1)]


def test_a_server_without_clients_leaves_the_gpu_free(gpus, proc):
    proc.add(900, name="nvidia-cuda-mps")
    gpus.are("gpu pids=900")

    assert gpus.sample().devices[0].holders == ()


def test_a_driver_that_knows_no_mps_names_the_processes_it_has(gpus, proc, seconds):
    gpus.use("-DOLD")
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11")
    gpus.sample()
    gpus.later(60)

    assert seconds(gpus.sample()) == {"acme": 60}


def test_a_gpu_lost_while_clients_are_listed_is_a_gap(gpus, proc):
    proc.add(11, PORTAL_TENANT="acme")
    gpus.are("gpu pids=11")
    gpus.sample()
    gpus.later(60)
    gpus.are("gpu pids=11 fail=mps code=15")
    collected = gpus.sample()

    assert collected.state == CollectorState.UNAVAILABLE
    assert collected.events == ()
