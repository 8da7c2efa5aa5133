"""A sending system as small as it gets: frames over a socket, one acknowledgment each."""

from __future__ import annotations

import contextlib
import socket

START, END = b"\x0b", b"\x1c\x0d"


class Sender:
    """One MLLP connection."""

    def __init__(self, port: int, timeout: float = 20) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=timeout)
        self._buffer = b""

    def send(self, message: bytes) -> bytes:
        """Send a message and return its acknowledgment; raises OSError when the connection ends first."""
        self._socket.sendall(START + message + END)
        return self.receive()

    def send_raw(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self) -> bytes:
        while END not in self._buffer:
            part = self._socket.recv(65536)
            if not part:
                raise ConnectionResetError("the connection ended before an acknowledgment came")
            self._buffer += part
        frame, _, self._buffer = self._buffer.partition(END)
        return frame.lstrip(START)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    def __enter__(self) -> Sender:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def acknowledgment(answer: bytes) -> str:
    """AA, AE or AR."""
    for segment in answer.split(b"\r"):
        if segment.startswith(b"MSA|"):
            return segment.split(b"|")[1].decode()
    return ""


def admission(control_id: str, number: int, *, name: str = "张伟", facility: str = "H1") -> bytes:
    """An outpatient registration (ADT^A04) of patient `number`."""
    segments = [
        rf"MSH|^~\&|HIS|{facility}|HB|QP00|20260301083000||ADT^A04^ADT_A01|{control_id}|P|2.5.1|||||CHN|UNICODE UTF-8",
        "EVN|A04|20260301083000",
        f"PID|1||M{number:06d}^^^{facility}^MR||{name[0]}^{name[1:]}||19700101|M",
        f"PV1|1|O|门诊^^^{facility}||||||||||||||||V{number:06d}|||||||||||||||||||||||||20260301083000",
    ]
    return "\r".join(segments).encode() + b"\r"
