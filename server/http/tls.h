/*
 * TLS: the certificate and key of --tls-cert and --tls-key, reloaded on request, and what is negotiated with them.
 *
 * libmicrohttpd reads a certificate once, when it starts; here it asks for the current one at every handshake instead.
 * A replaced certificate is kept until no handshake can use it any more. Owned by the loop thread. GnuTLS passes no
 * pointer of ours to its callback, so there is one struct tls per process.
 */
#ifndef MODPROP_SERVER_TLS_H
#define MODPROP_SERVER_TLS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/base/config.h"

struct tls;

/* NULL with a sentence: a file cannot be read, or they do not hold a certificate and its key. */
struct tls *tls_create(const struct config *config, char error[CONFIG_ERROR_BYTES]);
/* After the daemon that used the options. NULL-safe. */
void tls_destroy(struct tls *tls);

/* Reads both files again. False with a sentence, and the previous certificate stays in use. */
bool tls_reload(struct tls *tls, char error[CONFIG_ERROR_BYTES]);

/* Frees certificates that are no longer used; call each second with the loop's milliseconds. */
void tls_tick(struct tls *tls, uint64_t now);

/* Options for MHD_start_daemon (MHD_OPTION_ARRAY), with MHD_USE_TLS. */
struct MHD_OptionItem *tls_options(void);

#endif
