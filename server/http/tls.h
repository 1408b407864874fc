/*
 * TLS: the certificate and key of --tls-cert and --tls-key, read again on request, and what is negotiated with them.
 *
 * libmicrohttpd reads a certificate once, when it starts; here it asks for the present one at every handshake instead.
 * A certificate that was replaced stays until no handshake can use it any more. Owned by the loop thread. GnuTLS hands
 * its callback nothing of ours, so that there is one struct tls a process.
 */
#ifndef MODPROP_SERVER_TLS_H
#define MODPROP_SERVER_TLS_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/base/config.h"

struct tls;

/* NULL with a sentence: a file cannot be read, or they hold no certificate and its key. */
struct tls *tls_create(const struct config *config, char error[CONFIG_ERROR_BYTES]);
/* After the daemon that used the options. NULL-safe. */
void tls_destroy(struct tls *tls);

/* Reads both files again. False with a sentence, and the certificate read before stays in force. */
bool tls_reload(struct tls *tls, char error[CONFIG_ERROR_BYTES]);

/* Frees certificates that are out of use; call each second with the loop's milliseconds. */
void tls_tick(struct tls *tls, uint64_t now);

/* Options for MHD_start_daemon (MHD_OPTION_ARRAY), with MHD_USE_TLS. */
struct MHD_OptionItem *tls_options(void);

#endif
