#!/bin/sh
# Makes the certificates of tests/connection.rs anew. They are valid for a hundred years and
# protect nothing.
set -eu
cd "$(dirname "$0")"
new() { openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 "$@"; }
sign() { openssl x509 -req -CA ca.crt -CAkey ca.key -CAcreateserial -days 36500 "$@"; }
for authority in ca other-ca; do
  new -x509 -keyout "$authority.key" -out "$authority.crt" -subj "/CN=goldenkey test $authority"
done
new -keyout server.key -out server.csr -subj "/CN=server"
printf 'subjectAltName=DNS:localhost\n' > extensions
sign -in server.csr -out server.crt -extfile extensions
new -keyout client.key -out client.csr -subj "/CN=certified"
printf 'extendedKeyUsage=clientAuth\n' > extensions
sign -in client.csr -out client.crt -extfile extensions
rm -f -- *.csr *.srl extensions ca.key other-ca.key
