/*
 * Messages to a service manager (sd_notify's protocol: datagrams to the socket that NOTIFY_SOCKET names). Without that
 * variable nothing happens. Written here because it takes twenty lines, and libsystemd is a large dependency for that.
 */
#ifndef MODPROP_SERVER_NOTIFY_H
#define MODPROP_SERVER_NOTIFY_H

/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=..." */
void notify_send(const char *state);

/* The interval in milliseconds at which the manager expects watchdog messages (half of its limit); 0: none. */
unsigned long notify_watchdog_milliseconds(void);

#endif
