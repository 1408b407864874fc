/* `modpropd healthcheck [--listen ADDRESS:PORT]`: checks whether the daemon at that address is alive (flags,
 * environment and file as for serving); for containers, which have no curl. Returns an exit status. */
#ifndef MODPROP_SERVER_HEALTHCHECK_H
#define MODPROP_SERVER_HEALTHCHECK_H

int healthcheck_command(int count, char **arguments, char **environment);

#endif
