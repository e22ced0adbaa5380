"""An S3 server on loopback (moto's, in a process of its own), with faults for whom they are asked for.

    with S3Server() as server:
        os.environ |= server.environment
        server.put("bucket", "run/name", b"...")

Every bucket that is put to is made. The faults, by the bucket's name or the user's key:

    loose     conditional writes are not conditional
    flaky     two of three writes are refused for the moment (503)
    CLOSED    a user whose key is not known (403)
"""

import re
import subprocess
import sys
from collections.abc import Callable, Iterable
from typing import Any

ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "OPEN", "AWS_SECRET_ACCESS_KEY": "secret",
               "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
               "AWS_CONFIG_FILE": "/nowhere",
               "AWS_SHARED_CREDENTIALS_FILE": "/nowhere"}  # fmt: skip
REFUSED = ("<Error><Code>InvalidAccessKeyId</Code><Message>The AWS Access Key Id you provided does not "
           "exist in our records.</Message></Error>")  # fmt: skip


class S3Server:
    """A started server, and what is in its buckets."""

    def __enter__(self) -> "S3Server":
        command = [sys.executable, __file__]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.url = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.environment = {**ENVIRONMENT, "AWS_ENDPOINT_URL": self.url}
        import boto3

        self._client = boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id="OPEN",
            aws_secret_access_key="secret",
            region_name="us-east-1",
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def make(self, bucket: str) -> None:
        """Makes a bucket, if it is not there."""
        self._client.create_bucket(Bucket=bucket)

    def put(self, bucket: str, key: str, content: bytes) -> None:
        """Writes an object, as another program would."""
        self._client.put_object(Bucket=bucket, Key=key, Body=content)

    def delete(self, bucket: str, key: str) -> None:
        """Removes an object, as another program would."""
        self._client.delete_object(Bucket=bucket, Key=key)

    def objects(self, bucket: str, prefix: str) -> dict[str, bytes]:
        """The objects below a prefix, by their names from there; without those that begin with a dot."""
        listed = self._client.list_objects_v2(Bucket=bucket, Prefix=f"{prefix}/").get(
            "Contents", []
        )
        names = [one["Key"].removeprefix(f"{prefix}/") for one in listed]
        return {
            name: self._client.get_object(Bucket=bucket, Key=f"{prefix}/{name}")["Body"].read()
            for name in names
            if not name.startswith(".")
        }


def _with_faults(app: Callable[..., Any]) -> Callable[..., Iterable[bytes]]:
    puts = 0

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        nonlocal puts
        bucket, method = environ["PATH_INFO"].split("/")[1], environ["REQUEST_METHOD"]
        if re.search("Credential=CLOSED", environ.get("HTTP_AUTHORIZATION", "")):
            start_response("403 Forbidden", [("Content-Type", "application/xml")])
            return [REFUSED.encode()]
        if bucket == "loose":
            environ.pop("HTTP_IF_NONE_MATCH", None)
        if bucket == "flaky" and method == "PUT" and environ["PATH_INFO"].strip("/") != "flaky":
            puts += 1
            if puts % 3:
                environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
                start_response("503 Slow Down", [("Content-Type", "application/xml")])
                return [
                    b"<Error><Code>SlowDown</Code><Message>Please reduce your rate</Message></Error>"
                ]
        found: Iterable[bytes] = app(environ, start_response)
        return found

    return answer


if __name__ == "__main__":
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import WSGIRequestHandler, make_server

    WSGIRequestHandler.log = lambda *_: None  # type: ignore[method-assign,assignment]
    moto = DomainDispatcherApplication(create_backend_app)
    server = make_server("127.0.0.1", 0, _with_faults(moto), threaded=True)
    print(server.server_port, flush=True)
    server.serve_forever()
