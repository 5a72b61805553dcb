"""A server on port 80 whose responses are the number of the process that answers. The argument says how it does that."""

import array
import os
import signal
import socket
import sys
import threading

WAY = sys.argv[1]
COUNT = 2


def listen():
    listener = socket.socket(socket.AF_INET6, socket.SOCK_STREAM)
    listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    listener.bind(("::", 80))
    listener.listen(512)
    return listener


def respond(connection, keeps=False):
    """Answers one request, or, if it keeps connections, all until one that asks to close."""
    while request := connection.recv(4096):
        keeps = keeps and b"Connection: close" not in request
        content = str(os.getpid()).encode()
        head = "HTTP/1.1 200 OK\r\n%sContent-Length: %d\r\n\r\n" % ("" if keeps else "Connection: close\r\n", len(content))
        connection.sendall(head.encode() + content)
        if not keeps:
            break
    connection.close()


def fork():
    """The process that accepts forks one that answers."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = listen()
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            respond(connection)
            os._exit(0)
        connection.close()


def run():
    """As inetd: the process that accepts forks one that runs a shell."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    listener = listen()
    shell = (
        "read line; while [ ${#line} -gt 1 ]; do read line; done;"
        "printf 'HTTP/1.1 200 OK\\r\\nConnection: close\\r\\nContent-Length: %d\\r\\n\\r\\n%d' ${#$} $$"
    ).replace("${#$}", "$(printf %d $$ | wc -c)")
    while True:
        connection, _ = listener.accept()
        if os.fork() == 0:
            os.dup2(connection.fileno(), 0)
            os.dup2(connection.fileno(), 1)
            os.execv("/bin/sh", ["sh", "-c", shell])
        connection.close()


def give():
    """The process that accepts passes the socket to another one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        while True:
            _, ancillary, _, _ = theirs.recvmsg(1, socket.CMSG_SPACE(4))
            descriptor = array.array("i", ancillary[0][2])[0]
            respond(socket.socket(fileno=descriptor))
    listener = listen()
    while True:
        connection, _ = listener.accept()
        ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [connection.fileno()]))])
        connection.close()


def thread():
    """Threads with names of their own answer."""

    def serve(connection):
        with open("/proc/thread-self/comm", "w") as name:
            name.write("worker-thread")
        respond(connection)

    listener = listen()
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=serve, args=(connection,), daemon=True).start()


def share():
    """Several processes, each with a listening socket of its own."""
    for _ in range(COUNT - 1):
        if os.fork() == 0:
            break
    listener = listen()
    while True:
        connection, _ = listener.accept()
        respond(connection, keeps=True)


{"fork": fork, "run": run, "give": give, "thread": thread, "share": share}[WAY]()
