#!/usr/bin/python3
"""HTTPS servers on loopback, one a way of speaking TLS, for test_upstream_tls.c.

usage: tls_peer.py FOLDER

Makes its certificates in FOLDER, prints `NAME PORT` a server and an empty line, ends with its input.
"""

import os
import socket
import ssl
import subprocess
import sys
import threading

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello"
KEPT_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

# name, certificate, lowest and highest version, suites of TLS 1.2
SERVERS = [
    ("tls13", "here", ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_3, None),
    ("tls12", "here", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES128-GCM-SHA256"),
    ("tls11", "here", ssl.TLSVersion.TLSv1_1, ssl.TLSVersion.TLSv1_1, "ALL:@SECLEVEL=0"),
    ("cbc", "here", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, "ECDHE-RSA-AES256-SHA384"),
    ("rsa", "here", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_2, "AES128-GCM-SHA256"),
    ("name", "elsewhere", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, None),
    ("expired", "expired", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, None),
    ("kept", "here", ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3, None),
]

# name, subjectAltName, days
CERTIFICATES = [
    ("here", "IP:127.0.0.1", "2"),
    ("elsewhere", "DNS:elsewhere.example", "2"),
    ("expired", "IP:127.0.0.1", "-1"),
]


def openssl(*arguments):
    subprocess.run(["openssl", *arguments], check=True, stdout=subprocess.DEVNULL,
                   stderr=subprocess.DEVNULL)


def make_authority(folder, name):
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=" + name,
            "-keyout", os.path.join(folder, name + ".key"),
            "-out", os.path.join(folder, name + ".pem"))


def make_certificate(folder, name, subject, days):
    path = os.path.join(folder, name)
    with open(path + ".ext", "w", encoding="ascii") as extensions:
        extensions.write("subjectAltName=" + subject + "\n")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=peer", "-keyout", path + ".key",
            "-out", path + ".csr")
    openssl("x509", "-req", "-in", path + ".csr", "-days", days, "-extfile", path + ".ext",
            "-CA", os.path.join(folder, "ca.pem"), "-CAkey", os.path.join(folder, "ca.key"),
            "-CAcreateserial", "-out", path + ".pem")


def answer(connection, context, text):
    try:
        with context.wrap_socket(connection, server_side=True) as stream:
            while stream.recv(65536):
                stream.sendall(text)
                if text is ANSWER:
                    break
    except OSError:
        pass


def serve(listener, context, text):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection, context, text), daemon=True).start()


def start(folder, name, certificate, lowest, highest, suites):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = lowest
    context.maximum_version = highest
    if suites:
        context.set_ciphers(suites)
    path = os.path.join(folder, certificate)
    context.load_cert_chain(path + ".pem", path + ".key")
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, context, KEPT_ANSWER if name == "kept" else ANSWER),
                     daemon=True).start()
    print(name, listener.getsockname()[1])


def main():
    folder = sys.argv[1]
    make_authority(folder, "ca")
    make_authority(folder, "other-ca")
    for name, subject, days in CERTIFICATES:
        make_certificate(folder, name, subject, days)
    for server in SERVERS:
        start(folder, *server)
    print(flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    import warnings

    warnings.simplefilter("ignore", DeprecationWarning)  # TLS 1.1 is what is tried
    main()
