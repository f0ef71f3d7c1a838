"""OTLP over gRPC and HTTP, with TLS and headers as the settings say; own spans say what went wrong."""

from __future__ import annotations

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.portal.telemetry.collector import GrpcCollector

SPANS = """
    from tenants import spans

    @spans.traced("work.halve", unit="call")
    def halve(number):
        return 1 / number

    with spans.span("work", tenant="acme") as here:
        here.set_attribute("portal.lines", 12)
        halve(2)
        try:
            halve(0)
        except ZeroDivisionError:
            pass
"""


def check(received):
    received.wait_for("work", "work.halve")
    (work,) = received.named("work")
    good, bad = received.named("work.halve")
    assert work.attributes == {"portal.tenant": "acme", "portal.lines": 12}
    assert {good.parent, bad.parent} == {work.id}
    assert good.attributes == {"portal.unit": "call"}
    assert (good.failed, bad.failed, work.failed) == (False, True, False)
    ((name, event),) = bad.events
    assert (name, event["exception.type"]) == ("exception", "ZeroDivisionError")
    assert received.headers[0]["authorization"] == "Bearer for=collector"


def test_by_grpc(child, traced_environment, collector):
    child(SPANS, {**traced_environment, "OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer for=collector"})
    check(collector.received)


def test_by_http_with_headers_from_a_file(child, server_environment, http_collector, tmp_path):
    secret = tmp_path / "headers"
    secret.write_text("authorization=Bearer for=collector\n")
    environment = {
        **server_environment,
        "OTEL_EXPORTER_OTLP_ENDPOINT": http_collector.endpoint,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_HEADERS_FILE": str(secret),
    }
    child(SPANS, environment)
    check(http_collector.received)


def test_by_tls_when_the_certificate_is_trusted(child, server_environment, tmp_path):
    certificate, key = self_signed()
    (tmp_path / "ca.pem").write_bytes(certificate)
    collector = GrpcCollector((certificate, key))
    try:
        environment = {
            **server_environment,
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint,
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer for=collector",
        }
        child(SPANS, environment)
        assert collector.received.spans == [], "a certificate that nobody vouches for"
        child(SPANS, {**environment, "OTEL_EXPORTER_OTLP_CERTIFICATE": str(tmp_path / "ca.pem")})
        check(collector.received)
    finally:
        collector.close()


def test_the_share_of_traces_that_begin_here(child, traced_environment, collector):
    code = """
    from tenants import spans
    for _ in range(1000):
        with spans.span("work"), spans.span("part"):
            pass
    """
    child(code, {**traced_environment, "OTEL_TRACES_SAMPLER_ARG": "0.1"})
    works, parts = collector.received.named("work"), collector.received.named("part")
    assert 50 < len(works) < 170
    assert {span.trace for span in works} == {span.trace for span in parts}, "a trace is kept whole or not at all"


@pytest.mark.parametrize(
    ("name", "value"),
    [("OTEL_TRACES_SAMPLER_ARG", "1.5"), ("OTEL_TRACES_SAMPLER_ARG", "ten"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "udp")],
)
def test_a_bad_setting_is_named(child, server_environment, name, value):
    with pytest.raises(AssertionError, match=name):
        child("", {**server_environment, name: value})


def self_signed() -> tuple[bytes, bytes]:
    """A certificate for localhost, and its key, in PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM), key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
