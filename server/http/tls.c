/*
 * TLS: see tls.h.
 *
 * Only TLS 1.3 and 1.2, and of 1.2 only suites with forward secrecy: with RSA key exchange (-RSA) anyone who gets the
 * key later can read everything recorded before.
 */
#include "server/http/tls.h"

#include <errno.h>
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/loop.h"

#define PEM_BYTES (1 << 20)
#define CHAIN_MAX 16
#define SPARE_MILLISECONDS 2000 /* deadlines are checked once a second */

struct credentials {
    struct credentials *next; /* replaced before this one */
    uint64_t expires;         /* ms: from then on no handshake uses it; 0: it is in use */
    gnutls_pcert_st chain[CHAIN_MAX];
    unsigned int chain_length;
    gnutls_privkey_t key;
};

struct tls {
    const struct config *config;
    struct credentials *current; /* and, after it, those that were replaced */
};

static struct tls *in_use;

static void credentials_destroy(struct credentials *credentials) {
    if (credentials != NULL) {
        for (unsigned int i = 0; i < credentials->chain_length; i++) {
            gnutls_pcert_deinit(&credentials->chain[i]);
        }
        gnutls_privkey_deinit(credentials->key);
        free(credentials);
    }
}

/* The whole file, 0-ended; free with explicit_bzero, since it may be a key. */
static char *read_pem(const char *path, const char *flag, char *error) {
    FILE *file = fopen(path, "re");
    char *text = file == NULL ? NULL : calloc(1, PEM_BYTES);
    size_t used = text == NULL ? 0 : fread(text, 1, PEM_BYTES - 1, file);
    if (used == 0) {
        snprintf(error, CONFIG_ERROR_BYTES, "%s: %.400s cannot be read: %s", flag, path,
                 file == NULL || text == NULL ? strerror(errno) : "it is empty");
        free(text);
        text = NULL;
    }
    if (file != NULL) {
        fclose(file);
    }
    return text;
}

static void forget_pem(char *text) {
    if (text != NULL) {
        explicit_bzero(text, PEM_BYTES);
        free(text);
    }
}

/* GnuTLS compares the two where it is given both. */
static int check_pair(const gnutls_datum_t *certificate, const gnutls_datum_t *key) {
    gnutls_certificate_credentials_t both;
    int result = gnutls_certificate_allocate_credentials(&both);
    if (result == 0) {
        result = gnutls_certificate_set_x509_key_mem(both, certificate, key, GNUTLS_X509_FMT_PEM);
        gnutls_certificate_free_credentials(both);
    }
    return result < 0 ? result : 0;
}

static int credentials_fill(struct credentials *credentials, char *certificate, char *key) {
    const gnutls_datum_t chain = {(unsigned char *)certificate, (unsigned int)strlen(certificate)},
                         secret = {(unsigned char *)key, (unsigned int)strlen(key)};
    unsigned int length = CHAIN_MAX;
    int result = check_pair(&chain, &secret);
    if (result == 0) {
        result = gnutls_pcert_list_import_x509_raw(credentials->chain, &length, &chain, GNUTLS_X509_FMT_PEM, 0);
    }
    if (result == 0) {
        credentials->chain_length = length;
        result = gnutls_privkey_init(&credentials->key);
    }
    return result == 0 ? gnutls_privkey_import_x509_raw(credentials->key, &secret, GNUTLS_X509_FMT_PEM, NULL, 0)
                       : result;
}

static struct credentials *credentials_read(const struct config *config, char *error) {
    struct credentials *credentials = calloc(1, sizeof *credentials);
    char *certificate = read_pem(config->tls_cert, "--tls-cert", error);
    char *key = certificate == NULL ? NULL : read_pem(config->tls_key, "--tls-key", error);
    int result = key == NULL || credentials == NULL ? GNUTLS_E_MEMORY_ERROR
                                                    : credentials_fill(credentials, certificate, key);
    if (result != 0) {
        if (key != NULL) {
            snprintf(error, CONFIG_ERROR_BYTES, "--tls-cert and --tls-key must hold a certificate and its key: %s",
                     gnutls_strerror(result));
        }
        credentials_destroy(credentials);
        credentials = NULL;
    }
    forget_pem(certificate);
    forget_pem(key);
    return credentials;
}

struct tls *tls_create(const struct config *config, char error[CONFIG_ERROR_BYTES]) {
    struct tls *tls = calloc(1, sizeof *tls);
    if (tls == NULL) {
        snprintf(error, CONFIG_ERROR_BYTES, "out of memory");
        return NULL;
    }
    tls->config = config;
    tls->current = credentials_read(config, error);
    if (tls->current == NULL) {
        free(tls);
        return NULL;
    }
    in_use = tls;
    return tls;
}

void tls_destroy(struct tls *tls) {
    if (tls == NULL) {
        return;
    }
    in_use = NULL;
    for (struct credentials *next; tls->current != NULL; tls->current = next) {
        next = tls->current->next;
        credentials_destroy(tls->current);
    }
    free(tls);
}

bool tls_reload(struct tls *tls, char error[CONFIG_ERROR_BYTES]) {
    struct credentials *fresh = credentials_read(tls->config, error);
    if (fresh == NULL) {
        return false;
    }
    /* a handshake is over, or cut, by then */
    tls->current->expires = clock_milliseconds() + (uint64_t)tls->config->header_timeout * 1000 + SPARE_MILLISECONDS;
    fresh->next = tls->current;
    tls->current = fresh;
    return true;
}

void tls_tick(struct tls *tls, uint64_t now) {
    for (struct credentials **link = &tls->current->next; *link != NULL;) {
        struct credentials *old = *link;
        if (now < old->expires) {
            link = &old->next;
            continue;
        }
        *link = old->next;
        credentials_destroy(old);
    }
}

/* GnuTLS calls this at each handshake. Ownership stays here. */
static int retrieve(gnutls_session_t session, const gnutls_datum_t *authorities, int authority_count,
                    const gnutls_pk_algorithm_t *algorithms, int algorithm_count, gnutls_pcert_st **chain,
                    unsigned int *chain_length, gnutls_privkey_t *key) {
    (void)session;
    (void)authorities;
    (void)authority_count;
    (void)algorithms;
    (void)algorithm_count;
    *chain = in_use->current->chain;
    *chain_length = in_use->current->chain_length;
    *key = in_use->current->key;
    return 0;
}

struct MHD_OptionItem *tls_options(void) {
    static char priorities[] = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA";
    static struct MHD_OptionItem options[] = {{MHD_OPTION_HTTPS_PRIORITIES, 0, priorities},
                                              {MHD_OPTION_HTTPS_CERT_CALLBACK, 0, NULL},
                                              {MHD_OPTION_END, 0, NULL}};
    gnutls_certificate_retrieve_function2 *function = retrieve;
    memcpy(&options[1].ptr_value, &function, sizeof function); /* C has no cast from a function to void * */
    return options;
}
