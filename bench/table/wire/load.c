/* A load generator: one thread, one epoll; prints one line of JSON.
 *
 *     load json PORT CONNECTIONS SECONDS FILE       requests, one after the other on each connection
 *     load streams PORT CONNECTIONS CHUNKS RAMP_MS FILE   one stream on each connection
 *
 * FILE is a whole request of HTTP; each ######## in it becomes the request's number. Streams begin
 * within RAMP_MS; a chunk's delay is from the time that upstream.c wrote into it until it was read.
 * load.py does the same where there is no compiler.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 4096, EVENTS = 256, READ_BYTES = 65536, HEAD_BYTES = 16384, MOST_ERRORS = 100 };
/* Nobody waits longer for anything. */
static const long PATIENCE_US = 60L * 1000000;

enum state { HEAD, BODY, SIZE, DATA, AFTER_DATA, TRAILER };

struct connection {
    int fd, status, is_busy, is_started, at_signs, digits;
    enum state state;
    char head[HEAD_BYTES];
    size_t head_bytes, body_left, sent, trailer_bytes;
    long started_us, starts_us, stamp, stamps, first_us;
    char *request;
};

struct samples {
    long *values;
    size_t used, size;
};

static struct connection connections[MOST];
static struct samples times, firsts, delays;
static char *template, first_error[400];
static size_t template_bytes;
static long requests, errors, number, wanted_stamps, stops_us;
static int poller, port, busy, is_streaming;

static long now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000L + t.tv_nsec / 1000;
}

static void note(struct samples *s, long value) {
    if (s->used == s->size) {
        s->size = s->size ? s->size * 2 : 4096;
        s->values = realloc(s->values, s->size * sizeof *s->values);
        if (!s->values) {
            perror("memory");
            exit(1);
        }
    }
    s->values[s->used++] = value;
}

static int compare(const void *a, const void *b) {
    long x = *(const long *)a, y = *(const long *)b;
    return (x > y) - (x < y);
}

static double percentile_ms(struct samples *s, int percent) {
    if (!s->used)
        return 0;
    qsort(s->values, s->used, sizeof *s->values, compare);
    size_t at = s->used * percent / 100;
    return s->values[at < s->used ? at : s->used - 1] / 1000.0;
}

static void fail(struct connection *c, const char *what) {
    errors++;
    if (!first_error[0])
        snprintf(first_error, sizeof first_error, "%s: %d %.200s", what, c->status, c->head);
}

static void open_connection(struct connection *c) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = c};
    int yes = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&address, sizeof address)) {
        perror("connect");
        exit(1);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event);
}

static void watch(struct connection *c, unsigned events) {
    struct epoll_event event = {.events = events, .data.ptr = c};
    epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event);
}

static void continue_sending(struct connection *c) {
    ssize_t sent =
        send(c->fd, c->request + c->sent, template_bytes - c->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent > 0)
        c->sent += sent;
    watch(c, c->sent < template_bytes ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void start(struct connection *c) {
    char digits[16];
    char *at = c->request;
    snprintf(digits, sizeof digits, "%08ld", number++ % 100000000);
    memcpy(c->request, template, template_bytes);
    while ((at = memmem(at, c->request + template_bytes - at, "########", 8)))
        memcpy(at, digits, 8);
    c->state = HEAD;
    c->head_bytes = c->sent = 0;
    c->status = c->at_signs = 0;
    c->stamps = 0;
    c->is_busy = c->is_started = 1;
    busy++;
    c->started_us = now_us();
    continue_sending(c);
}

static void finish(struct connection *c) {
    busy--;
    c->is_busy = 0;
    c->head[c->head_bytes < HEAD_BYTES ? c->head_bytes : HEAD_BYTES - 1] = 0;
    if (c->status != 200)
        fail(c, "refused");
    else if (is_streaming && c->stamps != wanted_stamps)
        fail(c, "chunks are missing");
    else {
        requests++;
        note(&times, now_us() - c->started_us);
    }
    if (!is_streaming && now_us() < stops_us && errors < MOST_ERRORS)
        start(c);
}

/* Find @@ and 16 digits, wherever a read cuts them. */
static void scan(struct connection *c, const char *data, size_t bytes, long now) {
    for (size_t i = 0; i < bytes; i++) {
        if (c->at_signs == 2 && data[i] >= '0' && data[i] <= '9') {
            c->stamp = c->stamp * 10 + data[i] - '0';
            if (++c->digits < 16)
                continue;
            if (!c->stamps++)
                note(&firsts, now - c->started_us);
            note(&delays, now - c->stamp);
            c->at_signs = 0;
        } else if (data[i] == '@') {
            c->at_signs = c->at_signs == 1 ? 2 : 1;
            c->stamp = c->digits = 0;
        } else
            c->at_signs = 0;
    }
}

static void parse_head(struct connection *c) {
    c->head[c->head_bytes] = 0;
    c->status = atoi(c->head + 9);
    char *length = strcasestr(c->head, "\r\ncontent-length:");
    char *coding = strcasestr(c->head, "\r\ntransfer-encoding:");
    c->body_left = length ? strtoul(length + 17, NULL, 10) : 0;
    c->state = coding && strcasestr(coding, "chunked") ? SIZE : BODY;
    if (c->status != 200)
        c->head_bytes = 0;
}

static void take(struct connection *c, const char *data, size_t bytes, long now) {
    if (is_streaming)
        scan(c, data, bytes, now);
    for (size_t i = 0; c->status != 200 && i < bytes && c->head_bytes < HEAD_BYTES - 1; i++)
        c->head[c->head_bytes++] = data[i];
}

/* Take what was read; what follows an answer can't be: nothing is asked ahead. */
static void parse(struct connection *c, const char *data, size_t bytes, long now) {
    while (c->is_busy) {
        if (c->state == BODY && !c->body_left) {
            finish(c);
            return;
        }
        if (!bytes)
            return;
        size_t some = 1;
        switch (c->state) {
        case HEAD:
            c->head[c->head_bytes++] = *data;
            if (c->head_bytes >= 4 && !memcmp(c->head + c->head_bytes - 4, "\r\n\r\n", 4))
                parse_head(c);
            else if (c->head_bytes == HEAD_BYTES - 1) {
                fail(c, "a head too long");
                exit(1);
            }
            break;
        case SIZE:
            if (*data == '\n') {
                c->state = c->body_left ? DATA : TRAILER;
                c->trailer_bytes = 0;
            } else if (*data >= '0' && *data <= '9')
                c->body_left = c->body_left * 16 + *data - '0';
            else if ((*data | 32) >= 'a' && (*data | 32) <= 'f')
                c->body_left = c->body_left * 16 + (*data | 32) - 'a' + 10;
            break;
        case BODY:
        case DATA:
            some = bytes < c->body_left ? bytes : c->body_left;
            take(c, data, some, now);
            c->body_left -= some;
            if (!c->body_left && c->state == DATA)
                c->state = AFTER_DATA;
            break;
        case AFTER_DATA:
            if (*data == '\n')
                c->state = SIZE;
            break;
        case TRAILER:
            if (*data == '\n' && c->trailer_bytes == 0) {
                c->state = BODY;
            } else if (*data == '\n')
                c->trailer_bytes = 0;
            else if (*data != '\r')
                c->trailer_bytes++;
            break;
        }
        data += some;
        bytes -= some;
    }
}

static void receive(struct connection *c) {
    static char some[READ_BYTES];
    ssize_t got = recv(c->fd, some, sizeof some, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got > 0) {
        parse(c, some, got, now_us());
        return;
    }
    close(c->fd);
    int was_busy = c->is_busy;
    if (was_busy) {
        fail(c, "hung up");
        busy--;
        c->is_busy = 0;
    }
    if (is_streaming || now_us() >= stops_us || errors >= MOST_ERRORS)
        return;
    open_connection(c);
    start(c);
}

static void report(double wall_s) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu_s = used.ru_utime.tv_sec + used.ru_utime.tv_usec / 1e6 + used.ru_stime.tv_sec +
                   used.ru_stime.tv_usec / 1e6;
    for (char *at = first_error; *at; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < ' ')
            *at = ' ';
    printf("{\"requests\": %ld, \"errors\": %ld, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
           "\"chunks\": %zu, \"first_p50_ms\": %.3f, \"delay_p50_ms\": %.3f, "
           "\"delay_p99_ms\": %.3f, \"wall_s\": %.3f, \"cpu_s\": %.3f, \"first_error\": \"%s\"}\n",
           requests, errors, percentile_ms(&times, 50), percentile_ms(&times, 99), delays.used,
           percentile_ms(&firsts, 50), percentile_ms(&delays, 50), percentile_ms(&delays, 99),
           wall_s, cpu_s, first_error);
}

static void read_template(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        perror(path);
        exit(1);
    }
    fseek(file, 0, SEEK_END);
    template_bytes = ftell(file);
    rewind(file);
    template = malloc(template_bytes);
    if (!template || fread(template, 1, template_bytes, file) != template_bytes) {
        perror(path);
        exit(1);
    }
    fclose(file);
}

int main(int count, char **arguments) {
    struct epoll_event events[EVENTS];
    is_streaming = count == 7 && !strcmp(arguments[1], "streams");
    if (!is_streaming && (count != 6 || strcmp(arguments[1], "json"))) {
        fprintf(stderr, "usage: load json PORT CONNECTIONS SECONDS FILE\n"
                        "       load streams PORT CONNECTIONS CHUNKS RAMP_MS FILE\n");
        return 2;
    }
    port = atoi(arguments[2]);
    int wide = atoi(arguments[3]);
    if (wide < 1 || wide > MOST) {
        fprintf(stderr, "from 1 to %d connections\n", MOST);
        return 2;
    }
    read_template(arguments[count - 1]);
    signal(SIGPIPE, SIG_IGN);
    poller = epoll_create1(0);
    for (int i = 0; i < wide; i++) {
        connections[i].request = malloc(template_bytes);
        open_connection(&connections[i]);
    }
    long began = now_us();
    long ramp_us = is_streaming ? atol(arguments[5]) * 1000 : 0;
    wanted_stamps = is_streaming ? atol(arguments[4]) : 0;
    stops_us = is_streaming ? began : began + (long)(atof(arguments[4]) * 1e6);
    for (int i = 0; i < wide; i++)
        connections[i].starts_us = began + ramp_us * i / wide;
    int waiting = 0;
    do {
        long now = now_us();
        for (; waiting < wide && connections[waiting].starts_us <= now; waiting++)
            start(&connections[waiting]);
        int ready = epoll_wait(poller, events, EVENTS, waiting < wide ? 1 : 100);
        for (int i = 0; i < ready; i++) {
            struct connection *c = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                continue_sending(c);
            if (events[i].events & ~EPOLLOUT)
                receive(c);
        }
        if (now > stops_us + ramp_us + PATIENCE_US) {
            errors += busy;
            snprintf(first_error, sizeof first_error, "%d waited longer than a minute", busy);
            break;
        }
    } while (busy || waiting < wide);
    report((now_us() - began) / 1e6);
    return 0;
}
