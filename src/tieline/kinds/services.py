"""Services that a job talks to: rows of the table. What answers HTTP is probed as such, the rest as a host and port."""

from __future__ import annotations

from tieline.kinds.hosts import row_kinds
from tieline.kinds.rows import Extra, Row

HTTP = Row(
    name="http",
    title="Anything that answers HTTP",
    opens="http",
    schemes=("http", "https"),
    tls_scheme="https",
    login_in_uri=False,
    path=(),
    extras=(Extra(name="headers", description="Headers of every request, by name; no secrets.", type=dict[str, str]),),
    keys={"token": ("access-token", "access_token", "api-key", "TOKEN")},
    examples=(
        {"name": "labels", "kind": "http", "schema": {"url": "https://labels.example.org/api"}},
        {
            "name": "labels-internal",
            "kind": "http",
            "schema": {
                "host": "labels.example.org",
                "port": 8443,
                "tls": True,
                "caBundle": "/etc/ssl/labels.pem",
                "headers": {"X-Team": "vision"},
            },
            "secret": {"name": "labels-token"},
        },
    ),
)
GRPC = Row(
    name="grpc",
    title="A gRPC server",
    opens="socket",
    port=443,
    schemes=("grpc", "grpcs", "dns"),
    tls_scheme="grpcs",
    login_in_uri=False,
    path=(),
    keys={"token": ("access-token", "access_token")},
    examples=(
        {
            "name": "inference",
            "kind": "grpc",
            "schema": {"host": "inference.example.org", "port": 8001, "tls": True},
        },
    ),
)
FTP = Row(
    name="ftp",
    title="An FTP server",
    opens="socket",
    port=21,
    schemes=("ftp", "ftps"),
    tls_scheme="ftps",
    path=("path",),
    extras=(Extra(name="path", description="The folder to begin in."),),
    examples=(
        {
            "name": "drops",
            "kind": "ftp",
            "schema": {"host": "ftp.example.org", "path": "incoming"},
            "secret": {"name": "ftp-secret"},
        },
    ),
)
HDFS = Row(
    name="hdfs",
    title="A Hadoop file system, by its name node",
    opens="socket",
    port=8020,
    schemes=("hdfs", "webhdfs", "swebhdfs"),
    path=("path",),
    extras=(
        Extra(name="path", description="The folder to begin in."),
        Extra(name="principal", description="The name node's Kerberos principal."),
    ),
    variables={"HADOOP_USER_NAME": "username"},
    examples=({"name": "lake", "kind": "hdfs", "schema": {"host": "namenode.example.org", "username": "jobs"}},),
)
SAMBA = Row(
    name="samba",
    title="A Windows (SMB) share",
    opens="socket",
    port=445,
    schemes=("smb", "cifs"),
    path=("share",),
    extras=(
        Extra(name="share", description="The share's name."),
        Extra(name="domain", description="The user's domain."),
    ),
    examples=(
        {
            "name": "scans",
            "kind": "samba",
            "schema": {"host": "files.example.org", "share": "scans", "domain": "LAB"},
            "secret": {"name": "samba-secret"},
        },
    ),
)
JENKINS = Row(
    name="jenkins",
    title="A Jenkins server",
    opens="http",
    port=8080,
    schemes=("http", "https"),
    tls_scheme="https",
    login_in_uri=False,
    path=(),
    variables={"JENKINS_URL": "uri", "JENKINS_USER_ID": "username", "JENKINS_API_TOKEN": "password"},
    keys={"password": ("api-token", "token")},
    examples=(
        {
            "name": "ci",
            "kind": "jenkins",
            "schema": {"url": "https://jenkins.example.org"},
            "secret": {"name": "jenkins-secret"},
        },
    ),
)
PIG_CLI = Row(
    name="pig_cli",
    title="Pig, by its command line",
    opens="socket",
    extras=(Extra(name="pig_properties", description="Further properties of the command line."),),
    examples=({"name": "pig", "kind": "pig_cli", "schema": {"host": "pig.example.org", "port": 9999}},),
)
SEGMENT = Row(
    name="segment",
    title="Segment's tracking service",
    opens="http",
    schemes=("https", "http"),
    tls_scheme="https",
    url="https://api.segment.io",
    login_in_uri=False,
    path=(),
    variables={"SEGMENT_WRITE_KEY": "write-key"},
    keys={"write-key": ("write_key", "writeKey")},
    examples=({"name": "tracking", "kind": "segment", "secret": {"name": "segment-secret"}},),
)

KINDS = row_kinds((HTTP, GRPC, FTP, HDFS, SAMBA, JENKINS, PIG_CLI, SEGMENT), "services")
