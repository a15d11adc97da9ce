"""Makes odd requests and records what h11, another strict HTTP/1.1 parser, thinks of each.

    pip install h11 && python record.py > verdicts.json

Each case is the bytes, as Latin-1 text, and h11's verdict: "refused", "partial" when it waits
for more, or the body and what follows the request.
"""

import json

import h11

SOUND = [
    "PUT /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfourGET /",
    "PUT /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    "4;e\r\nfour\r\n0\r\nT: v\r\n\r\nGET /",
]

# What is put before each byte of a sound request, and in place of it.
ODD = ["\0", "\t", "\n", "\r", " ", "\xff", ":", "\r\n"]

FIELDS = [
    "Content-Length: 4", "Content-Length: 5", "Content-Length: 4, 4", "Content-Length: +4",
    "Content-Length: -4", "Content-Length: 4 ", "Content-Length: 4\t", "Content-Length: 0x4",
    "Content-Length: 04", "Content-Length: 4.0", "Content-Length: ", "Content-Length: 4;",
    "Content-Length: 99999999999999999999", "content-length: 4", "Content-Length : 4",
    "Content_Length: 4", "Content-Length:4", "\tContent-Length: 4", "Content-Length\t: 4",
    "Transfer-Encoding: chunked", "Transfer-Encoding: Chunked", "Transfer-Encoding: chunked ",
    "Transfer-Encoding: identity", "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: chunked, gzip", "Transfer-Encoding: chunked, chunked",
    "Transfer-Encoding: xchunked", "Transfer-Encoding: \"chunked\"", "Transfer-Encoding: ",
    "Transfer-Encoding: chunked;a=b", "Transfer-Encoding: ,chunked",
    "Transfer-Encoding: chunked,", "Transfer-Encoding : chunked", "transfer-encoding:chunked",
    "Transfer-Encoding: \vchunked", "Transfer_Encoding: chunked", "Host: x", "Host: y",
    "Connection: close", "Connection: upgrade", "Upgrade: h2c", "Expect: 100-continue",
    ": a", "a", "a:", "a b: c", "a: b\0c", "a: \xe9",
]

BODIES = ["", "four", "4\r\nfour\r\n0\r\n\r\n", "0\r\n\r\n"]

LINES = [
    "GET / HTTP/1.1", "GET  / HTTP/1.1", "GET /  HTTP/1.1", "GET / HTTP/1.1 ", " GET / HTTP/1.1",
    "GET\t/ HTTP/1.1", "GET /\tHTTP/1.1", "GET / HTTP/1.10", "GET / HTTP/01.1", "GET / HTTP/1.",
    "GET / HTTP/.1", "GET / HTTP/11", "GET / http/1.1", "GET / HTTP /1.1", "GET / HTTP/ 1.1",
    "GET / HTTP/1.2", "GET / HTTP/2.0", "GET / HTTP/0.9", "GET /", "GET", "GET ", "/ HTTP/1.1",
    "GET / / HTTP/1.1", "get / HTTP/1.1", "G\xc9T / HTTP/1.1", "GET /\xe9 HTTP/1.1", "(GET / HTTP/1.1",
    "GET http://x/ HTTP/1.1", "GET //x HTTP/1.1", "GET /#a HTTP/1.1", "OPTIONS * HTTP/1.1",
    "GET a HTTP/1.1", "GET \\ HTTP/1.1", "CONNECT x:1 HTTP/1.1", "GET / HTTP/1.1\0",
]

CHUNKS = [
    "4\r\nfour\r\n0\r\n\r\n", "04\r\nfour\r\n0\r\n\r\n", "4 \r\nfour\r\n0\r\n\r\n",
    " 4\r\nfour\r\n0\r\n\r\n", "+4\r\nfour\r\n0\r\n\r\n", "-4\r\nfour\r\n0\r\n\r\n",
    "0x4\r\nfour\r\n0\r\n\r\n", "4_\r\nfour\r\n0\r\n\r\n", "4;a\r\nfour\r\n0\r\n\r\n",
    "4 ;a\r\nfour\r\n0\r\n\r\n", "4;\r\nfour\r\n0\r\n\r\n", "4\nfour\n0\n\n",
    "4\r\nfour\n0\r\n\r\n", "4\r\nfour0\r\n\r\n", "4\r\nfourx\r\n0\r\n\r\n", "3\r\nfour\r\n0\r\n\r\n",
    "5\r\nfour\r\n0\r\n\r\n", "4\rXfour\r\n0\r\n\r\n", "4;a\nb\r\nfour\r\n0\r\n\r\n",
    "4;a\rb\r\nfour\r\n0\r\n\r\n", "\r\n", "g\r\n", "10000000000000000\r\n",
    "fffffffffffffffffffff\r\n", "00000000000000000000004\r\nfour\r\n0\r\n\r\n",
    "0\r\nA: b\r\n\r\n", "0\r\nA\r\n\r\n", "0\r\n A: b\r\n\r\n", "0\r\nA: b\n\r\n", "0\r\n\n",
    "0\r\nContent-Length: 9\r\n\r\n",
]


def requests():
    for sound in SOUND:
        yield sound
        for at in range(len(sound)):
            for odd in ODD:
                yield sound[:at] + odd + sound[at:]
                yield sound[:at] + odd + sound[at + 1 :]
    for line in LINES:
        yield f"{line}\r\nHost: x\r\n\r\n"
    for first in FIELDS:
        for second in ["", "Content-Length: 4", "Transfer-Encoding: chunked"]:
            for body in BODIES:
                fields = "".join(f"{field}\r\n" for field in (first, second) if field)
                yield f"POST / HTTP/1.1\r\nHost: x\r\n{fields}\r\n{body}"
    for chunks in CHUNKS:
        head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        yield head + chunks


def verdict(request):
    connection = h11.Connection(h11.SERVER)
    body = b""
    try:
        connection.receive_data(request.encode("latin-1"))
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                return "partial"
            if isinstance(event, h11.Data):
                body += bytes(event.data)
            if isinstance(event, h11.EndOfMessage):
                rest, _ = connection.trailing_data
                return [body.decode("latin-1"), bytes(rest).decode("latin-1")]
    except h11.RemoteProtocolError:
        return "refused"


def main():
    cases = [[request, verdict(request)] for request in dict.fromkeys(requests())]
    print("[")
    print(",\n".join(json.dumps(case) for case in cases))
    print("]")


main()
