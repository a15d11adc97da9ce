# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_goldenkey_global_optspecs
    string join \n dump-config hide-secrets dump-schema e/example ready v/version h/help
end

function __fish_goldenkey_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_goldenkey_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_goldenkey_using_subcommand
    set -l cmd (__fish_goldenkey_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c goldenkey -n "__fish_goldenkey_needs_command" -l dump-config -d 'Print the configuration in force, with its secrets, and exit'
complete -c goldenkey -n "__fish_goldenkey_needs_command" -l hide-secrets -d 'Leave the secrets out of --dump-config'
complete -c goldenkey -n "__fish_goldenkey_needs_command" -l dump-schema -d 'Print the schema cache as JSON and exit'
complete -c goldenkey -n "__fish_goldenkey_needs_command" -s e -l example -d 'Print a commented configuration file and exit'
complete -c goldenkey -n "__fish_goldenkey_needs_command" -l ready -d 'Ask the admin server whether it is ready; exit 0 if so, else 1'
complete -c goldenkey -n "__fish_goldenkey_needs_command" -s v -l version -d 'Print the version'
complete -c goldenkey -n "__fish_goldenkey_needs_command" -s h -l help -d 'Print help'
complete -c goldenkey -n "__fish_goldenkey_needs_command" -a "tutorial" -d 'Serve the tutorial\'s todo list from a private PostgreSQL cluster'
complete -c goldenkey -n "__fish_goldenkey_needs_command" -a "token" -d 'Sign a token with the configured secret, or inspect one'
complete -c goldenkey -n "__fish_goldenkey_needs_command" -a "keygen" -d 'Print a new key that signs tokens: a secret, or a JWK with --kind'
complete -c goldenkey -n "__fish_goldenkey_using_subcommand tutorial" -l port -d 'The port to serve on [default: 3000, or what the last run used]' -r
complete -c goldenkey -n "__fish_goldenkey_using_subcommand tutorial" -l data -d 'The folder that keeps cluster, configuration and todos between runs [default: goldenkey/tutorial in the user\'s data folder]' -r -F
complete -c goldenkey -n "__fish_goldenkey_using_subcommand tutorial" -s h -l help -d 'Print help'
complete -c goldenkey -n "__fish_goldenkey_using_subcommand token" -l role -d 'The database role of the request' -r
complete -c goldenkey -n "__fish_goldenkey_using_subcommand token" -l expires -d 'Expire after so long: 90s, 5m, 12h or 30d [default: never]' -r
complete -c goldenkey -n "__fish_goldenkey_using_subcommand token" -l claim -d 'Another claim, as text; may be repeated' -r
complete -c goldenkey -n "__fish_goldenkey_using_subcommand token" -l claim-json -d 'Another claim, as JSON; may be repeated' -r
complete -c goldenkey -n "__fish_goldenkey_using_subcommand token" -l key -d 'Sign with this private key instead of jwt-secret: a JWK, a JWKS or PEM' -r -F
complete -c goldenkey -n "__fish_goldenkey_using_subcommand token" -l algorithm -d 'The algorithm, such as PS256, where the key leaves a choice' -r
complete -c goldenkey -n "__fish_goldenkey_using_subcommand token" -l inspect -d 'Show what TOKEN says and whether CONFIG accepts it; - reads it from input' -r
complete -c goldenkey -n "__fish_goldenkey_using_subcommand token" -s h -l help -d 'Print help'
complete -c goldenkey -n "__fish_goldenkey_using_subcommand keygen" -l kind -d 'secret, rsa, ec (P-256), p384, p521 or ed25519, as a JWK' -r
complete -c goldenkey -n "__fish_goldenkey_using_subcommand keygen" -l kid -d 'The key\'s identifier [default: the thumbprint of its public part]' -r
complete -c goldenkey -n "__fish_goldenkey_using_subcommand keygen" -s h -l help -d 'Print help'
