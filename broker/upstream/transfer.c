#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/x509.h>

#include "base/clock.h"
#include "base/secret.h"
#include "upstream/cache_control_internal.h"
#include "upstream/transfer_internal.h"

#define CONNECT_TIMEOUT_DEFAULT_MS 2000
#define TOTAL_TIMEOUT_DEFAULT_MS 5000
#define RESPONSE_DEFAULT_BYTES ((size_t)512 * 1024)
#define REQUEST_MAX_BYTES ((size_t)1024 * 1024)
#define HEAD_MAX_BYTES ((size_t)64 * 1024) /* of all answers to one request, interim ones too */
#define URL_MAX_BYTES ((size_t)4096)
#define HEADER_MAX_BYTES ((size_t)16 * 1024)
#define NS_PER_MS INT64_C(1000000)
/* Shorter than what servers keep idle connections for, so that few die in our hands. */
#define IDLE_CONNECTION_MAX_S 30L

/* TLS 1.2 suites; those of TLS 1.3 are all of this kind. */
#define CIPHERS "ECDHE+AESGCM:ECDHE+CHACHA20"

struct transfer_method {
    const char *name;
    bool is_idempotent; /* curl may send it again where a kept connection turns out dead */
    bool has_body;
};

static const struct transfer_method methods[] = {
    /* name   idempotent  body */
    { "GET", true, false },   { "POST", false, true },   { "PUT", true, true },
    { "PATCH", false, true }, { "DELETE", true, false },
};

static const struct transfer_method *method_find(const char *name)
{
    for (size_t i = 0; i < COUNT(methods); i++)
        if (str_eq(str_from(methods[i].name), str_from(name)))
            return &methods[i];
    return NULL;
}

/* Callbacks of curl, all on the upstream thread. */

static bool address_is_allowed(const struct transfer *transfer, const struct address *address)
{
    if (transfer->is_plain_http)
        return address_is_loopback(address);
    if (address_is_public(address))
        return true;
    for (size_t i = 0; i < transfer->peer.network_count; i++)
        if (network_contains(&transfer->peer.networks[i], address))
            return true;
    return false;
}

static bool refuse(struct transfer *transfer, const char *reason)
{
    if (transfer->refused == NULL)
        transfer->refused = reason;
    return false;
}

static bool check_address(struct transfer *transfer, const struct address *address)
{
    if (address_is_allowed(transfer, address))
        return true;
    return refuse(transfer, transfer->is_plain_http
                                ? "plain http is for loopback addresses only"
                                : "its address is not public and not in allow_networks");
}

/* Every address that the name resolved to comes by here before a socket is made for it. */
static curl_socket_t open_socket(void *context, curlsocktype purpose, struct curl_sockaddr *to)
{
    struct transfer *transfer = context;
    struct address address;

    if (purpose != CURLSOCKTYPE_IPCXN || !address_from_sockaddr(&to->addr, &address)) {
        refuse(transfer, "its address is not an internet address");
        return CURL_SOCKET_BAD;
    }
    if (!check_address(transfer, &address))
        return CURL_SOCKET_BAD;
    transfer->refused = NULL; /* of several addresses, one is good */
    return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

static bool has_left(struct transfer *transfer)
{
    long bytes = 0;

    if (!transfer->is_ready)
        return false;
    return curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &bytes) != CURLE_OK ||
           bytes != 0;
}

/*
 * A connection is there, new or kept, and nothing has been sent on it. A kept one may have been
 * opened for a peer with other networks, so its address is checked again. And curl comes by here a
 * second time when a kept connection died under the request: what may have been acted on is not
 * sent twice.
 */
static int before_request(void *context, char *remote_address, char *local_address, int remote_port,
                          int local_port)
{
    struct transfer *transfer = context;
    struct address address;

    (void)local_address;
    (void)remote_port;
    (void)local_port;
    if (!address_parse(str_from(remote_address), &address) || !check_address(transfer, &address))
        return CURL_PREREQFUNC_ABORT;
    if (!transfer->method->is_idempotent && has_left(transfer)) {
        refuse(transfer, "the connection closed under the request");
        return CURL_PREREQFUNC_ABORT;
    }
    transfer->is_ready = true;
    return CURL_PREREQFUNC_OK;
}

static size_t take_body(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    size_t len = size * count; /* curl: at most 16 KiB, size is 1 */

    buf_add(&transfer->answer, (struct str){ data, len });
    return buf_is_ok(&transfer->answer) ? len : CURL_WRITEFUNC_ERROR;
}

/* Lengths that disagree leave it open where the answer ends (RFC 9112 6.3); curl takes the last. */
static bool take_length(struct transfer *transfer, struct str value)
{
    int64_t len = 0;

    if (!str_to_int64(str_trim(value), &len) || len < 0 ||
        (transfer->announced_len >= 0 && transfer->announced_len != len))
        return refuse(transfer, "the answer's length is no number, or two");
    transfer->announced_len = len;
    return true;
}

static void take_lifetime(struct transfer *transfer, struct str value)
{
    int64_t max_age_s = cache_control_max_age_s(value);

    if (max_age_s >= 0 && (transfer->max_age_s < 0 || max_age_s < transfer->max_age_s))
        transfer->max_age_s = max_age_s;
}

/* Only what a proof may hold as it is (RFC 9449 8.1). */
static void take_nonce(struct transfer *transfer, struct str value)
{
    struct str nonce = str_trim(value);

    if (nonce.len > sizeof(transfer->dpop_nonce))
        return;
    for (size_t i = 0; i < nonce.len; i++)
        if (nonce.data[i] < '!' || nonce.data[i] > '~' || nonce.data[i] == '"' ||
            nonce.data[i] == '\\')
            return;
    if (nonce.len > 0)
        memcpy(transfer->dpop_nonce, nonce.data, nonce.len);
    transfer->dpop_nonce_len = nonce.len;
}

/* What an interim answer said counts no more. */
static void begin_answer(struct transfer *transfer)
{
    transfer->max_age_s = -1;
    transfer->announced_len = -1;
    transfer->dpop_nonce_len = 0;
    transfer->rate_remaining = -1;
    transfer->rate_reset_s = 0;
}

static void take_number(struct str value, int64_t *number)
{
    int64_t read;

    if (str_to_int64(str_trim(value), &read) && read >= 0)
        *number = read;
}

/* "RateLimit-Reset", and as it is called where it is older than its draft: "X-RateLimit-Reset". */
static bool is_about_rates(struct str name, struct str wanted)
{
    if (str_eq_ignore_case(str_slice(name, 0, 2), STR("X-")))
        name = str_slice(name, 2, name.len);
    return str_eq_ignore_case(name, wanted);
}

static size_t take_head(char *data, size_t size, size_t count, void *context)
{
    struct transfer *transfer = context;
    struct str line = { data, size * count };
    struct str name;
    struct str value;

    transfer->head_bytes += line.len;
    if (transfer->head_bytes > HEAD_MAX_BYTES) {
        refuse(transfer, "the answer's head is too large");
        return 0;
    }
    if (str_starts_with(line, STR("HTTP/")))
        begin_answer(transfer);
    if (!str_cut(line, ':', &name, &value))
        return line.len;
    if (str_eq_ignore_case(name, STR("Cache-Control")))
        take_lifetime(transfer, value);
    if (str_eq_ignore_case(name, STR("DPoP-Nonce")))
        take_nonce(transfer, value);
    if (is_about_rates(name, STR("RateLimit-Remaining")))
        take_number(value, &transfer->rate_remaining);
    if (is_about_rates(name, STR("RateLimit-Reset")))
        take_number(value, &transfer->rate_reset_s);
    if (str_eq_ignore_case(name, STR("Content-Length")) && !take_length(transfer, value))
        return 0;
    return line.len;
}

/* Options: false when curl refuses one (no memory, or built without what we need). */

#define SET(easy, option, value) (curl_easy_setopt((easy), (option), (value)) == CURLE_OK)

/* What is left of the request's time; 0 would mean no end to curl. */
static long left_ms(const struct transfer *transfer)
{
    int64_t left_ns = transfer->end_ns - clock_monotonic_ns();

    return left_ns > NS_PER_MS ? (long)(left_ns / NS_PER_MS) : 1;
}

static bool set_limits(CURL *easy, const struct transfer *transfer)
{
    return SET(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)transfer->connect_timeout_ms) &&
           SET(easy, CURLOPT_TIMEOUT_MS, left_ms(transfer)) && SET(easy, CURLOPT_NOSIGNAL, 1L) &&
           SET(easy, CURLOPT_FOLLOWLOCATION, 0L) && SET(easy, CURLOPT_PROXY, "") &&
           SET(easy, CURLOPT_NOPROXY, "*") && SET(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) &&
           SET(easy, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L) &&
           SET(easy, CURLOPT_HTTP09_ALLOWED, 0L) &&
           SET(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) &&
           SET(easy, CURLOPT_HTTP_CONTENT_DECODING, 0L) && SET(easy, CURLOPT_PATH_AS_IS, 1L) &&
           SET(easy, CURLOPT_MAXAGE_CONN, IDLE_CONNECTION_MAX_S) &&
           /* a name server that hangs must not hold the thread when its request is given up */
           SET(easy, CURLOPT_QUICK_EXIT, 1L);
}

static bool set_tls(CURL *easy, const struct transfer *transfer)
{
    if (!SET(easy, CURLOPT_PROTOCOLS_STR, transfer->is_plain_http ? "http" : "https") ||
        !SET(easy, CURLOPT_SSL_VERIFYPEER, 1L) || !SET(easy, CURLOPT_SSL_VERIFYHOST, 2L) ||
        !SET(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) ||
        !SET(easy, CURLOPT_SSL_CIPHER_LIST, CIPHERS) || !SET(easy, CURLOPT_CA_CACHE_TIMEOUT, 60L))
        return false;
    if (transfer->peer.certificate_file != NULL &&
        (!SET(easy, CURLOPT_SSLCERT, transfer->peer.certificate_file) ||
         !SET(easy, CURLOPT_SSLKEY, transfer->peer.key_file)))
        return false;
    if (transfer->peer.ca_file == NULL)
        return true;
    /* without the second, the system's folder of authorities would still count */
    return SET(easy, CURLOPT_CAINFO, transfer->peer.ca_file) &&
           SET(easy, CURLOPT_CAPATH, (char *)NULL);
}

static bool set_callbacks(CURL *easy, struct transfer *transfer)
{
    return SET(easy, CURLOPT_PRIVATE, transfer) &&
           SET(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket) &&
           SET(easy, CURLOPT_OPENSOCKETDATA, transfer) &&
           SET(easy, CURLOPT_PREREQFUNCTION, before_request) &&
           SET(easy, CURLOPT_PREREQDATA, transfer) && SET(easy, CURLOPT_WRITEFUNCTION, take_body) &&
           SET(easy, CURLOPT_WRITEDATA, transfer) && SET(easy, CURLOPT_HEADERFUNCTION, take_head) &&
           SET(easy, CURLOPT_HEADERDATA, transfer);
}

static bool set_request(CURL *easy, const struct transfer *transfer)
{
    const struct transfer_method *method = transfer->method;

    if (!SET(easy, CURLOPT_URL, transfer->url.data) ||
        !SET(easy, CURLOPT_USERAGENT, "stagepass/" STAGEPASS_VERSION) ||
        !SET(easy, CURLOPT_HTTPHEADER, transfer->headers))
        return false;
    if (method->has_body &&
        (!SET(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)transfer->body.len) ||
         !SET(easy, CURLOPT_POSTFIELDS, transfer->body.len > 0 ? transfer->body.data : "")))
        return false;
    return SET(easy, CURLOPT_CUSTOMREQUEST, method->name);
}

/* Making and freeing. */

static bool add_header(struct transfer *transfer, const char *line, struct error *error)
{
    struct str text = str_from(line);
    struct curl_slist *longer;

    if (text.len > HEADER_MAX_BYTES || str_has_control(text) || str_find(text, ':') == 0 ||
        str_find(text, ':') == text.len)
        return error_set(error, ERROR_CONFIG, "a request header is not \"Name: value\"");
    longer = curl_slist_append(transfer->headers, line);
    if (longer == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a request header");
    transfer->headers = longer;
    return true;
}

static bool copy_headers(struct transfer *transfer, const struct upstream_request *request,
                         struct error *error)
{
    for (size_t i = 0; i < UPSTREAM_HEADERS_MAX && request->headers[i] != NULL; i++)
        if (!add_header(transfer, request->headers[i], error))
            return false;
    return add_header(transfer, "Expect:", error); /* no waiting for 100 Continue */
}

static bool copy_request(struct transfer *transfer, const struct upstream_request *request,
                         struct error *error)
{
    if (request->body.len > REQUEST_MAX_BYTES)
        return error_set(error, ERROR_CONFIG, "the request body is larger than %zu bytes",
                         REQUEST_MAX_BYTES);
    buf_add_text(&transfer->url, request->url);
    buf_add(&transfer->body, request->body);
    if (!buf_is_ok(&transfer->url) || !buf_is_ok(&transfer->body))
        return error_set(error, ERROR_MEMORY, "no memory for a request");
    transfer->host_name = upstream_url_host(buf_str(&transfer->url));
    transfer->is_plain_http = str_starts_with(buf_str(&transfer->url), STR("http://"));
    transfer->peer = request->peer;
    transfer->done = request->done;
    transfer->context = request->context;
    return copy_headers(transfer, request, error);
}

static struct transfer *transfer_allocate(size_t answer_max_bytes)
{
    struct transfer *transfer = calloc(1, sizeof(*transfer));

    if (transfer == NULL)
        return NULL;
    begin_answer(transfer);
    buf_init(&transfer->url, URL_MAX_BYTES);
    buf_init(&transfer->body, REQUEST_MAX_BYTES);
    buf_init(&transfer->answer, answer_max_bytes > 0 ? answer_max_bytes : RESPONSE_DEFAULT_BYTES);
    return transfer;
}

static unsigned or_default(unsigned value, unsigned otherwise)
{
    return value > 0 ? value : otherwise;
}

/*
 * Its time runs from now on, whatever it waits for. The last fifth is for the answer: what is sent
 * too late to be answered ends as unknown, while what was never sent has simply failed.
 */
static void set_times(struct transfer *transfer, const struct upstream_request *request)
{
    int64_t total_ms = or_default(request->total_timeout_ms, TOTAL_TIMEOUT_DEFAULT_MS);
    int64_t now_ns = clock_monotonic_ns();

    transfer->connect_timeout_ms =
        or_default(request->connect_timeout_ms, CONNECT_TIMEOUT_DEFAULT_MS);
    transfer->end_ns = now_ns + total_ms * NS_PER_MS;
    transfer->deadline_ns = transfer->end_ns - total_ms * NS_PER_MS / 5;
}

bool transfer_new(const struct upstream_request *request, struct transfer **transfer,
                  struct error *error)
{
    const struct transfer_method *method = method_find(request->method);
    OWNED(transfer_free) struct transfer *made = NULL;

    if (!upstream_url_check(str_from(request->url), request->peer.may_use_http, error))
        return false;
    if (method == NULL || (!method->has_body && request->body.len > 0))
        return error_set(error, ERROR_CONFIG, "the method is unknown, or takes no body");
    made = transfer_allocate(request->response_max_bytes);
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for a request");
    if (!copy_request(made, request, error))
        return false;
    made->method = method;
    set_times(made, request);
    *transfer = TAKE(made);
    return true;
}

bool transfer_open(struct transfer *transfer)
{
    transfer->deadline_ns = transfer->end_ns;
    transfer->easy = curl_easy_init();
    return transfer->easy != NULL && set_limits(transfer->easy, transfer) &&
           set_tls(transfer->easy, transfer) && set_callbacks(transfer->easy, transfer) &&
           set_request(transfer->easy, transfer);
}

/* Headers carry credentials. */
static void free_headers(struct curl_slist *headers)
{
    for (struct curl_slist *header = headers; header != NULL; header = header->next)
        secret_wipe(header->data, strlen(header->data));
    curl_slist_free_all(headers);
}

void transfer_free(struct transfer *transfer)
{
    if (transfer == NULL)
        return;
    curl_easy_cleanup(transfer->easy);
    free_headers(transfer->headers);
    buf_release(&transfer->url);
    buf_release(&transfer->body);
    buf_release(&transfer->answer);
    free(transfer);
}

/* The end. */

/* What is wrong with the certificate of a peer whose handshake was refused for it. */
static const char *certificate_fault(CURL *easy)
{
    long result = X509_V_ERR_UNSPECIFIED; /* as libcurl leaves it where it looks at the name */

    (void)curl_easy_getinfo(easy, CURLINFO_SSL_VERIFYRESULT, &result);
    if (result == X509_V_OK || result == X509_V_ERR_UNSPECIFIED)
        return "it is for another name";
    return X509_verify_cert_error_string(result);
}

/* Only the host is named: paths and queries can be secret. */
static void explain(struct transfer *transfer, CURLcode code, struct error *error)
{
    if (!buf_is_ok(&transfer->answer))
        error_set(error, ERROR_LIMIT, STR_FMT ": the answer is larger than %zu bytes",
                  STR_ARG(transfer->host_name), transfer->answer.max);
    else if (transfer->refused != NULL)
        error_set(error, ERROR_UNREACHABLE, STR_FMT ": %s", STR_ARG(transfer->host_name),
                  transfer->refused);
    else if (transfer->easy == NULL && code == CURLE_OPERATION_TIMEDOUT)
        error_set(error, ERROR_UNREACHABLE, STR_FMT ": no connection to it was free in time",
                  STR_ARG(transfer->host_name));
    else if (code == CURLE_OK)
        error_set(error, ERROR_UNREACHABLE, STR_FMT ": no HTTP status came",
                  STR_ARG(transfer->host_name));
    else if (code == CURLE_PEER_FAILED_VERIFICATION)
        error_set(error, ERROR_UNREACHABLE,
                  STR_FMT ": its certificate is not accepted (%s): it must be for this name, and "
                          "signed by an authority of the system or of the file that `ca` names",
                  STR_ARG(transfer->host_name), certificate_fault(transfer->easy));
    else
        error_set(error, ERROR_UNREACHABLE, STR_FMT ": %s", STR_ARG(transfer->host_name),
                  curl_easy_strerror(code));
}

static void read_head(const struct transfer *transfer, struct upstream_response *response)
{
    curl_off_t retry_after_s = 0;
    long status = 0;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RETRY_AFTER, &retry_after_s);
    response->status = (int)status;
    response->retry_after_s = retry_after_s > 0 ? (int64_t)retry_after_s : 0;
    response->max_age_s = transfer->max_age_s;
    response->dpop_nonce = (struct str){ transfer->dpop_nonce, transfer->dpop_nonce_len };
    response->rate_remaining = transfer->rate_remaining;
    response->rate_reset_s = transfer->rate_reset_s;
}

static struct str content_type(const struct transfer *transfer)
{
    const char *text = NULL;

    (void)curl_easy_getinfo(transfer->easy, CURLINFO_CONTENT_TYPE, &text);
    return str_from(text);
}

void transfer_finish(struct transfer *transfer, CURLcode code)
{
    struct upstream_response response = { .max_age_s = -1, .rate_remaining = -1 };

    if (transfer->easy != NULL)
        read_head(transfer, &response);
    if (code == CURLE_OK && response.status >= 100 && response.status <= 599) {
        response.outcome = UPSTREAM_ANSWERED;
        response.body = buf_str(&transfer->answer);
        response.content_type = content_type(transfer);
    } else {
        response.outcome = has_left(transfer) ? UPSTREAM_UNKNOWN : UPSTREAM_UNSENT;
        explain(transfer, code, &response.error);
    }
    transfer->done(&response, transfer->context);
}
