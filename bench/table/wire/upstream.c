/* A fast fake upstream: one thread, one epoll, answers as OpenAI's chat does.
 *
 *     upstream PORT
 *
 * The model of a request says what is streamed: bench-150-20 is 150 chunks, one each 20 ms. The
 * content of a chunk begins with @@ and the microseconds of CLOCK_MONOTONIC at which it was sent,
 * 16 digits, so that a client on the same machine knows how long it was under way. upstream.py does
 * the same where there is no compiler.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

enum { MOST_FDS = 8192, EVENTS = 256, READ_BYTES = 65536 };

struct buffer {
    char *data;
    size_t used, size;
};

struct connection {
    int is_open;
    struct buffer in, out;
    long chunks_left, chunks, every_us, next_us;
    int wants_usage;
    size_t body_bytes;
};

static struct connection connections[MOST_FDS];
static int poller, streams_begun, highest_fd;

static long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

static void append(struct buffer *b, const char *data, size_t bytes) {
    if (b->used + bytes > b->size) {
        b->size = (b->used + bytes) * 2;
        b->data = realloc(b->data, b->size);
        if (!b->data) {
            perror("memory");
            exit(1);
        }
    }
    memcpy(b->data + b->used, data, bytes);
    b->used += bytes;
}

static void watch(int fd, int operation, unsigned events) {
    struct epoll_event event = {.events = events, .data.fd = fd};
    epoll_ctl(poller, operation, fd, &event);
}

static void close_connection(int fd) {
    close(fd);
    free(connections[fd].in.data);
    free(connections[fd].out.data);
    memset(&connections[fd], 0, sizeof connections[fd]);
}

static void flush(int fd) {
    struct connection *c = &connections[fd];
    ssize_t sent = write(fd, c->out.data, c->out.used);
    if (sent < 0 && errno != EAGAIN) {
        close_connection(fd);
        return;
    }
    if (sent > 0) {
        c->out.used -= sent;
        memmove(c->out.data, c->out.data + sent, c->out.used);
    }
    watch(fd, EPOLL_CTL_MOD, c->out.used ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void send_bytes(int fd, const char *data, size_t bytes) {
    struct connection *c = &connections[fd];
    ssize_t sent = c->out.used ? 0 : write(fd, data, bytes);
    if (sent < 0 && errno != EAGAIN) {
        close_connection(fd);
        return;
    }
    if (sent < (ssize_t)bytes) {
        append(&c->out, data + (sent > 0 ? sent : 0), bytes - (sent > 0 ? sent : 0));
        watch(fd, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    }
}

#define SEND(fd, text) send_bytes(fd, text, sizeof text - 1)

#define CHUNK_START                                                                                \
    "data: {\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,"   \
    "\"model\":\"gpt-4o-2024-08-06\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_bench\","

/* One chunk of HTTP for each event, as servers of events send them. */
static void send_event(int fd, const char *event) {
    char text[2048];
    int bytes = snprintf(text, sizeof text, "%zx\r\n%s\r\n", strlen(event), event);
    send_bytes(fd, text, bytes);
}

static void send_chunk(int fd) {
    char event[1024];
    snprintf(event, sizeof event,
             CHUNK_START "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"@@%016ld word\"},"
                         "\"logprobs\":null,\"finish_reason\":null}]}\n\n",
             now_us());
    send_event(fd, event);
}

static void send_end(int fd) {
    struct connection *c = &connections[fd];
    char event[1024];
    send_event(fd, CHUNK_START "\"choices\":[{\"index\":0,\"delta\":{},\"logprobs\":null,"
                               "\"finish_reason\":\"stop\"}]}\n\n");
    if (c->wants_usage) {
        snprintf(event, sizeof event,
                 CHUNK_START "\"choices\":[],\"usage\":{\"prompt_tokens\":%zu,"
                             "\"completion_tokens\":%ld,\"total_tokens\":%zu}}\n\n",
                 c->body_bytes / 5, c->chunks, c->body_bytes / 5 + c->chunks);
        send_event(fd, event);
    }
    SEND(fd, "e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n");
}

static void begin_stream(int fd) {
    struct connection *c = &connections[fd];
    SEND(fd, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
             "Transfer-Encoding: chunked\r\n\r\n");
    send_chunk(fd);
    c->chunks_left = c->chunks - 1;
    /* All begin at once, but nobody's models speak in step. */
    c->next_us = now_us() + c->every_us * (1 + streams_begun++ % 16) / 16;
}

static void answer(int fd) {
    struct connection *c = &connections[fd];
    char body[1024], text[2048];
    size_t prompt = c->body_bytes / 5;
    int bytes = snprintf(
        body, sizeof body,
        "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion\",\"created\":1700000000,"
        "\"model\":\"gpt-4o-2024-08-06\",\"choices\":[{\"index\":0,\"message\":{\"role\":"
        "\"assistant\",\"content\":\"The answer is a sentence of about sixteen tokens, no more and "
        "no less than that.\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],"
        "\"usage\":{\"prompt_tokens\":%zu,\"completion_tokens\":16,\"total_tokens\":%zu},"
        "\"system_fingerprint\":\"fp_bench\"}",
        prompt, prompt + 16);
    bytes = snprintf(text, sizeof text,
                     "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                     "Content-Length: %d\r\n\r\n%s",
                     bytes, body);
    send_bytes(fd, text, bytes);
}

static int is_true(const char *body, size_t bytes, const char *name) {
    const char *at = memmem(body, bytes, name, strlen(name));
    if (!at)
        return 0;
    at += strlen(name);
    while (at < body + bytes && (*at == ' ' || *at == ':'))
        at++;
    return at + 4 <= body + bytes && !memcmp(at, "true", 4);
}

static void serve(int fd, const char *body, size_t bytes) {
    struct connection *c = &connections[fd];
    c->body_bytes = bytes;
    if (!is_true(body, bytes, "\"stream\"")) {
        answer(fd);
        return;
    }
    const char *model = memmem(body, bytes, "\"bench-", 7);
    long every_ms = 0;
    if (!model || sscanf(model, "\"bench-%ld-%ld", &c->chunks, &every_ms) != 2) {
        SEND(fd, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        return;
    }
    c->every_us = every_ms * 1000;
    c->wants_usage = is_true(body, bytes, "\"include_usage\"");
    begin_stream(fd);
}

/* Serve what is whole in the buffer: one request at a time, as clients of HTTP/1.1 send them. */
static void parse(int fd) {
    struct connection *c = &connections[fd];
    char *end = memmem(c->in.data, c->in.used, "\r\n\r\n", 4);
    if (!end)
        return;
    *end = 0;
    size_t head = end + 4 - c->in.data;
    char *length = strcasestr(c->in.data, "\r\ncontent-length:");
    size_t body = length ? strtoul(length + 17, NULL, 10) : 0;
    *end = '\r';
    if (c->in.used < head + body)
        return;
    serve(fd, c->in.data + head, body);
    c->in.used = 0;
}

static void receive(int fd) {
    static char some[READ_BYTES];
    ssize_t got = read(fd, some, sizeof some);
    if (got <= 0) {
        if (got == 0 || errno != EAGAIN)
            close_connection(fd);
        return;
    }
    append(&connections[fd].in, some, got);
    parse(fd);
}

static void accept_all(int listener) {
    int fd, yes = 1;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
        if (fd >= MOST_FDS) {
            close(fd);
            continue;
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        connections[fd].is_open = 1;
        highest_fd = fd > highest_fd ? fd : highest_fd;
        watch(fd, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* Send what is due, and return how many ms to wait for the next. */
static int send_due(void) {
    long now = now_us(), next = now + 1000000;
    for (int fd = 0; fd <= highest_fd; fd++) {
        struct connection *c = &connections[fd];
        if (!c->is_open || !c->every_us)
            continue;
        if (c->next_us <= now) {
            if (c->chunks_left-- > 0) {
                send_chunk(fd);
                c->next_us += c->every_us;
            } else {
                c->every_us = 0;
                send_end(fd);
                continue;
            }
        }
        if (c->is_open && c->next_us < next)
            next = c->next_us;
    }
    return next <= now ? 0 : (int)((next - now + 999) / 1000);
}

int main(int count, char **arguments) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct epoll_event events[EVENTS];
    int yes = 1;
    if (count != 2) {
        fprintf(stderr, "usage: upstream PORT\n");
        return 2;
    }
    signal(SIGPIPE, SIG_IGN);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    address.sin_port = htons(atoi(arguments[1]));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 4096)) {
        perror("listen");
        return 1;
    }
    poller = epoll_create1(0);
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, send_due());
        for (int i = 0; i < ready; i++) {
            int fd = events[i].data.fd;
            if (fd == listener)
                accept_all(listener);
            else if (events[i].events & EPOLLOUT && connections[fd].out.used)
                flush(fd);
            else
                receive(fd);
        }
    }
}
