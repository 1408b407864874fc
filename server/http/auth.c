/*
 * Tokens and rates: see auth.h.
 *
 * A received token is hashed and compared with every line, each in constant time and without stopping early, so that
 * the time does not show which line was close. Neither a token nor its hash is ever logged. Rates are token buckets in
 * a table of fixed size: a flood of addresses overwrites old buckets instead of growing the daemon.
 */
#include "server/http/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "api/program.h"
#include "core/base/options.h"
#include "server/base/loop.h"

#define TOKENS_MAX 4096
#define TOKEN_BYTES 32
#define TOKEN_PREFIX "modprop_"
#define TOKEN_TEXT_BYTES (sizeof TOKEN_PREFIX + 2 * TOKEN_BYTES)
#define SHOWN_TOKEN_MAX 256
#define FILE_BYTES_MAX ((size_t)4 << 20)
#define RATE_BUCKETS 4096
#define RATE_WAYS 8 /* buckets that a key may have */

struct token {
    char name[TOKEN_NAME_BYTES];
    enum role role;
    uint8_t digest[SHA256_DIGEST_SIZE];
};

struct token_list {
    struct token *items;
    size_t count;
};

struct bucket {
    char key[72];
    double level; /* requests left */
    double when;  /* clock_seconds of level */
};

struct auth {
    const struct config *config;
    struct token_list tokens;
    struct bucket *buckets; /* (RATE_BUCKETS), NULL where no rate is set */
    uint64_t rate_seed;
};

static const char *const role_names[] = {"public", "read", "submit", "admin", "worker", "anybody"};

const char *role_name(enum role role) {
    return role_names[role];
}

bool role_allows(enum role role, enum role needed) {
    return role == ROLE_ANYBODY || needed == ROLE_PUBLIC ||
           (role == ROLE_WORKER || needed == ROLE_WORKER ? role == needed : role >= needed);
}

static bool role_parse(const char *text, enum role *role) {
    for (int i = ROLE_READ; i <= ROLE_WORKER; i++) {
        if (strcmp(text, role_names[i]) == 0) {
            *role = (enum role)i;
            return true;
        }
    }
    return false;
}

static bool name_is_valid(const char *name) {
    size_t length = strlen(name);
    return length > 0 && length < TOKEN_NAME_BYTES &&
           strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.@") == length;
}

static void digest_of(const char *text, size_t size, uint8_t digest[SHA256_DIGEST_SIZE]) {
    struct sha256_ctx context;
    sha256_init(&context);
    sha256_update(&context, size, (const uint8_t *)text);
    sha256_digest(&context, SHA256_DIGEST_SIZE, digest);
}

static int hex_value(char digit) {
    return digit >= '0' && digit <= '9'   ? digit - '0'
           : digit >= 'a' && digit <= 'f' ? digit - 'a' + 10
           : digit >= 'A' && digit <= 'F' ? digit - 'A' + 10
                                          : -1;
}

static bool digest_parse(const char *text, uint8_t digest[SHA256_DIGEST_SIZE]) {
    if (strlen(text) != 2 * SHA256_DIGEST_SIZE) {
        return false;
    }
    for (size_t i = 0; i < SHA256_DIGEST_SIZE; i++) {
        int high = hex_value(text[2 * i]), low = hex_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        digest[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* A new entry at the list's end, or NULL if it is full. */
static struct token *list_grow(struct token_list *list) {
    if (list->count == TOKENS_MAX) {
        return NULL;
    }
    struct token *items = realloc(list->items, (list->count + 1) * sizeof *items);
    if (items == NULL) {
        return NULL;
    }
    list->items = items;
    memset(&items[list->count], 0, sizeof *items);
    return &items[list->count++];
}

/* One line of the token file. An error never quotes the line: it may be a token pasted by mistake. */
static bool line_parse(struct token_list *list, const char *path, int number, char *line, char *error) {
    line += strspn(line, " \t");
    line[strcspn(line, "\r\n")] = '\0';
    for (size_t length = strlen(line); length > 0 && (line[length - 1] == ' ' || line[length - 1] == '\t');) {
        line[--length] = '\0';
    }
    if (*line == '\0' || *line == '#') {
        return true;
    }
    char *rest = line, *name = strsep(&rest, ":"), *role = strsep(&rest, ":"), *digest = strsep(&rest, ":");
    struct token parsed = {0};
    const char *fault = NULL;
    if (digest == NULL || rest != NULL) {
        fault = "must read name:role:sha256";
    } else if (!name_is_valid(name)) {
        fault = "must begin with a name of 1 to 64 letters, digits, dots, hyphens, underscores or @";
    } else if (!role_parse(role, &parsed.role)) {
        fault = "must have the role read, submit, admin or worker";
    } else if (!digest_parse(digest, parsed.digest)) {
        fault = "must end with the token's SHA-256 as 64 hexadecimal digits";
    }
    struct token *token = fault == NULL ? list_grow(list) : NULL;
    if (token == NULL) {
        snprintf(error, CONFIG_ERROR_BYTES, "--token-file: line %d of %.400s %s", number, path,
                 fault != NULL ? fault : "is one too many");
        return false;
    }
    snprintf(parsed.name, sizeof parsed.name, "%s", name);
    *token = parsed;
    return true;
}

/* Anyone who may write to the file may do everything. It holds no secret, so reading it is harmless. */
static void warn_if_writable(const char *path) {
    struct stat status;
    if (stat(path, &status) == 0 && (status.st_mode & 022) != 0) {
        log_warning("the token file can be written by others, who could let themselves in; chmod go-w it",
                    LOG_T("file", path));
    }
}

/* A partly read file would lose the other tokens: it is all of it, or an error. */
static bool file_read(struct token_list *list, const char *path, char *error) {
    size_t size;
    char *text = program_read_file(path, FILE_BYTES_MAX, &size), *rest = text;
    if (text == NULL) {
        snprintf(error, CONFIG_ERROR_BYTES, "--token-file: %.400s cannot be read: %s", path, strerror(errno));
        return false;
    }
    warn_if_writable(path);
    const char *wrong = text_begin(&rest, size);
    if (wrong != NULL) {
        snprintf(error, CONFIG_ERROR_BYTES, "--token-file: %.400s %s", path, wrong);
    }
    bool ok = wrong == NULL;
    for (int number = 1; ok && rest != NULL; number++) {
        ok = line_parse(list, path, number, strsep(&rest, "\n"), error);
    }
    explicit_bzero(text, size); /* it may be a token, put there by mistake */
    free(text);
    return ok;
}

static bool token_make(char text[TOKEN_TEXT_BYTES]) {
    uint8_t bytes[TOKEN_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) {
        return false;
    }
    size_t used = (size_t)snprintf(text, TOKEN_TEXT_BYTES, TOKEN_PREFIX);
    for (size_t i = 0; i < TOKEN_BYTES; i++) {
        used += (size_t)snprintf(text + used, TOKEN_TEXT_BYTES - used, "%02x", bytes[i]);
    }
    return true;
}

/* Writes the whole text to a new file that only its owner may read. */
static bool secret_write(const char *path, const char *text) {
    int descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0) {
        return false;
    }
    bool ok = write(descriptor, text, strlen(text)) == (ssize_t)strlen(text) && fsync(descriptor) == 0;
    return close(descriptor) == 0 && ok;
}

/* The text with a line break at its end; it must have room for one. */
static char *line_ended(char *text) {
    size_t end = strlen(text);
    text[end] = '\n';
    text[end + 1] = '\0';
    return text;
}

/* DIR/token holds the token itself: anyone who can read the data directory owns its jobs anyway. */
static bool created_token_read(struct token_list *list, const char *data, char *error) {
    char path[4096], text[SHOWN_TOKEN_MAX] = "";
    snprintf(path, sizeof path, "%s/token", data);
    FILE *file = fopen(path, "re");
    if (file == NULL && errno == ENOENT && list->count > 0) {
        return true;
    }
    if (file == NULL && errno == ENOENT) {
        char fresh[TOKEN_TEXT_BYTES + 1];
        if (!token_make(fresh) || !secret_write(path, line_ended(fresh))) {
            snprintf(error, CONFIG_ERROR_BYTES, "--create-token: %.400s cannot be written: %s", path, strerror(errno));
            return false;
        }
        explicit_bzero(fresh, sizeof fresh);
        log_info("an admin token was created", LOG_T("file", path));
        file = fopen(path, "re");
    }
    if (file == NULL || fgets(text, sizeof text, file) == NULL) {
        snprintf(error, CONFIG_ERROR_BYTES, "--create-token: %.400s cannot be read: %s", path,
                 file == NULL ? strerror(errno) : "it is empty");
        if (file != NULL) {
            fclose(file);
        }
        return false;
    }
    fclose(file);
    struct token *token = list_grow(list);
    if (token != NULL) {
        snprintf(token->name, sizeof token->name, "created");
        token->role = ROLE_ADMIN;
        digest_of(text, strcspn(text, "\r\n"), token->digest);
    }
    explicit_bzero(text, sizeof text);
    return token != NULL;
}

bool auth_reload(struct auth *auth, char error[CONFIG_ERROR_BYTES]) {
    struct token_list list = {0};
    const struct config *config = auth->config;
    if ((config->token_file != NULL && !file_read(&list, config->token_file, error)) ||
        (config->create_token && !created_token_read(&list, config->data, error))) {
        free(list.items);
        return false;
    }
    if (config->token_file != NULL && list.count == 0) {
        snprintf(error, CONFIG_ERROR_BYTES,
                 "--token-file: %.400s holds no token (`modpropd token NAME ROLE` creates one)", config->token_file);
        free(list.items);
        return false;
    }
    free(auth->tokens.items);
    auth->tokens = list;
    return true;
}

struct auth *auth_create(const struct config *config, char error[CONFIG_ERROR_BYTES]) {
    struct auth *auth = calloc(1, sizeof *auth);
    if (auth == NULL) {
        snprintf(error, CONFIG_ERROR_BYTES, "out of memory");
        return NULL;
    }
    auth->config = config;
    if (config->rate > 0) {
        auth->buckets = calloc(RATE_BUCKETS, sizeof *auth->buckets);
        if (getrandom(&auth->rate_seed, sizeof auth->rate_seed, 0) < 0) {
            auth->rate_seed = (uint64_t)(clock_seconds() * 1e6);
        }
    }
    if (!auth_reload(auth, error)) {
        auth_destroy(auth);
        return NULL;
    }
    return auth;
}

void auth_destroy(struct auth *auth) {
    if (auth != NULL) {
        free(auth->tokens.items);
        free(auth->buckets);
        free(auth);
    }
}

bool auth_is_required(const struct auth *auth) {
    return auth->config->token_file != NULL || auth->config->create_token;
}

size_t auth_count(const struct auth *auth) {
    return auth->tokens.count;
}

enum role auth_check(const struct auth *auth, const char *authorization, char name[TOKEN_NAME_BYTES]) {
    name[0] = '\0';
    if (authorization == NULL || strncasecmp(authorization, "Bearer ", 7) != 0) {
        return ROLE_PUBLIC;
    }
    const char *shown = authorization + 7;
    shown += strspn(shown, " ");
    size_t length = strnlen(shown, SHOWN_TOKEN_MAX + 1);
    if (length == 0 || length > SHOWN_TOKEN_MAX) {
        return ROLE_PUBLIC;
    }
    uint8_t digest[SHA256_DIGEST_SIZE];
    digest_of(shown, length, digest);
    const struct token *found = NULL;
    for (size_t i = 0; i < auth->tokens.count; i++) {
        found = memeql_sec(digest, auth->tokens.items[i].digest, sizeof digest) ? &auth->tokens.items[i] : found;
    }
    if (found == NULL) {
        return ROLE_PUBLIC;
    }
    memcpy(name, found->name, TOKEN_NAME_BYTES);
    return found->role;
}

/* Seeded with a secret, so that an attacker cannot choose addresses that share a bucket. */
static uint64_t hash_of(const struct auth *auth, const char *text) {
    uint64_t hash = UINT64_C(14695981039346656037) ^ auth->rate_seed;
    for (; *text != '\0'; text++) {
        hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
    }
    return hash ^ hash >> 29;
}

static double level_at(const struct auth *auth, const struct bucket *bucket, double now) {
    double rate = (double)auth->config->rate;
    return bucket->key[0] == '\0' ? INFINITY : fmin(2.0 * rate, bucket->level + (now - bucket->when) * rate);
}

/* The bucket of `key`, or the fullest of its candidates: a full bucket holds no information. */
static struct bucket *bucket_find(struct auth *auth, const char *key, double now) {
    struct bucket *set = &auth->buckets[hash_of(auth, key) % (RATE_BUCKETS / RATE_WAYS) * RATE_WAYS], *chosen = set;
    for (size_t i = 0; i < RATE_WAYS; i++) {
        if (strncmp(set[i].key, key, sizeof set[i].key - 1) == 0) {
            return &set[i];
        }
        chosen = level_at(auth, &set[i], now) > level_at(auth, chosen, now) ? &set[i] : chosen;
    }
    snprintf(chosen->key, sizeof chosen->key, "%s", key);
    chosen->level = 2.0 * (double)auth->config->rate;
    chosen->when = now;
    return chosen;
}

bool auth_rate_take(struct auth *auth, const char *key, int *retry_seconds) {
    if (auth->buckets == NULL) {
        return true;
    }
    double rate = (double)auth->config->rate, now = clock_seconds();
    struct bucket *bucket = bucket_find(auth, key, now);
    bucket->level = level_at(auth, bucket, now);
    bucket->when = now;
    if (bucket->level < 1.0) {
        *retry_seconds = 1 + (int)((1.0 - bucket->level) / rate);
        return false;
    }
    bucket->level -= 1.0;
    return true;
}

/* ---- modpropd token ---- */

/* Appends the line in one write, on a line of its own even if the last line is unterminated (by an editor, or cut
 * short by a full disk). */
static bool line_append(const char *path, const char *line) {
    char text[512], last = '\n';
    int descriptor = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (descriptor < 0) {
        return false;
    }
    off_t end = lseek(descriptor, 0, SEEK_END);
    bool is_stream = end < 0 && errno == ESPIPE; /* a pipe or a terminal: it has no last line to end */
    bool ok = is_stream || end == 0 || (end > 0 && pread(descriptor, &last, 1, end - 1) == 1);
    snprintf(text, sizeof text, "%s%s", last == '\n' ? "" : "\n", line);
    ok = ok && write(descriptor, text, strlen(text)) == (ssize_t)strlen(text) &&
         (fsync(descriptor) == 0 || errno == EINVAL); /* what cannot be synced, such as a pipe */
    return close(descriptor) == 0 && ok;
}

int auth_token_command(int count, char **arguments) {
    enum role role;
    const char *path = getenv("MODPROPD_TOKEN_FILE");
    if (count == 4 && strcmp(arguments[2], "--token-file") == 0) {
        path = arguments[3];
        count = 2;
    }
    if (count != 2 || !name_is_valid(arguments[0]) || !role_parse(arguments[1], &role)) {
        fprintf(stderr, "modpropd: usage: modpropd token NAME ROLE [--token-file FILE], NAME of 1 to 64 letters, "
                        "digits, dots, hyphens, "
                        "underscores or @, "
                        "ROLE read, submit, admin or worker\n");
        return 2;
    }
    char token[TOKEN_TEXT_BYTES], line[256];
    uint8_t digest[SHA256_DIGEST_SIZE];
    if (!token_make(token)) {
        fprintf(stderr, "modpropd: no random bytes: %s\n", strerror(errno));
        return 1;
    }
    digest_of(token, strlen(token), digest);
    int used = snprintf(line, sizeof line, "%s:%s:", arguments[0], role_name(role));
    for (size_t i = 0; i < sizeof digest; i++) {
        used += snprintf(line + used, sizeof line - (size_t)used, "%02x", digest[i]);
    }
    if (path == NULL) {
        fprintf(stderr,
                "Add this line to the file of --token-file, and keep the token printed below it: it is shown only "
                "now.\n%s\n",
                line);
    } else if (!line_append(path, line_ended(line))) {
        fprintf(stderr, "modpropd: --token-file: %s cannot be written: %s\n", path, strerror(errno));
        return 1;
    }
    bool shown = printf("%s\n", token) > 0 && fflush(stdout) == 0;
    explicit_bzero(token, sizeof token);
    return shown ? 0 : 1;
}
