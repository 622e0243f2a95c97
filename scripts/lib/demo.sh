# What scripts/demo shows things with: files, a memcached and an nginx of its own, all in one temporary
# directory, and how an answer is asked for and judged. Needs common.sh.
# shellcheck shell=bash

work='' store_pid='' nginx_pid='' steps=0 misses=0
port='' store_port=''

strong='' good='' bad='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
    strong=$'\e[1m' good=$'\e[32m' bad=$'\e[31m' plain=$'\e[0m'
fi

is_listening() {
    (: < "/dev/tcp/127.0.0.1/$1") 2> /dev/null
}

# Waits until process $2, called $1, listens on port $3; its log is $4.
wait_for_server() {
    local name=$1 pid=$2 its_port=$3 log=$4 deadline=$((SECONDS + 20))
    until is_listening "$its_port"; do
        if ! kill -0 "$pid" 2> /dev/null || [ "$SECONDS" -ge "$deadline" ]; then
            tail -n 5 -- "$log" >&2
            fail "$name does not listen on 127.0.0.1:$its_port; its last lines above say why"
        fi
        sleep 0.02
    done
}

start_memcached() {
    local user=()
    [ "$(id -u)" = 0 ] && user=(-u nobody)
    memcached -l 127.0.0.1 -p "$store_port" -U 0 -m 16 -t 1 "${user[@]}" 2> "$work/memcached.log" &
    store_pid=$!
    wait_for_server memcached "$store_pid" "$store_port" "$work/memcached.log"
}

start_nginx() {
    write_configuration > "$work/nginx.conf"
    # Its own standard error is the error log until the configuration names another.
    env -u NGINX "$NGX_SMART_NGINX" -p "$work" -c "$work/nginx.conf" -e "$work/error.log" &
    nginx_pid=$!
    wait_for_server nginx "$nginx_pid" "$port" "$work/error.log"
}

# Ends process $1 and waits for its end.
end() {
    [ -n "$1" ] || return 0
    # A stopped process would not hear the second signal.
    kill -CONT "$1" 2> /dev/null || true
    kill -TERM "$1" 2> /dev/null || true
    wait "$1" 2> /dev/null || true
}

clean_up() {
    trap '' HUP INT TERM
    end "$nginx_pid"
    end "$store_pid"
    [ -z "$work" ] || rm -rf -- "$work"
}

write_configuration() {
    [ -z "$NGX_SMART_MODULE" ] || printf 'load_module %s;\n' "$NGX_SMART_MODULE"
    # A worker of nobody's could not read a private directory of root's.
    [ "$(id -u)" != 0 ] || printf 'user root;\n'
    cat << END
# One worker: while a lookup waits, the same process serves everything else.
worker_processes 1;
daemon off;
pid nginx.pid;
# Down to "warn": requests that were held back are logged as well.
error_log error.log warn;
events {}

http {
    types { text/plain txt; text/html html; image/png png; application/pdf pdf; video/mp4 mp4; }
    log_format lookups '\$request_method \$request_uri \$status lookup=\$sendfile_status '
                       'path=\$sendfile_path server=\$sendfile_addr time=\$sendfile_time';
    access_log access.log lookups;
    sendfile on;
    add_header X-Sendfile-Status \$sendfile_status always;

    http_sendfile_pass 127.0.0.1:$store_port;
    http_sendfile_cache_zone lookups:1m;
$(write_limit_zones)
$(write_rooms)
$(write_status_zones)

    server {
        listen 127.0.0.1:$port;
        root html;

        location /files/ {
            internal;
            alias files/;
        }
        location /file/ {
            http_sendfile on;
        }
        location /cached/ {
            http_sendfile on;
            http_sendfile_cache lookups valid=1h miss=1h;
        }
        location /stale/ {
            http_sendfile on;
            http_sendfile_cache lookups valid=1s stale=1h;
        }
        location /patient/ {
            http_sendfile on;
            http_sendfile_timeout 15s;
        }
        location /rails/ {
            http_sendfile on;
            http_sendfile_key rails:\$sendfile_id;
        }
        location /app/ {
            http_sendfile on;
            proxy_pass http://unix:$work/application.sock;
        }
$(write_limit_locations)
$(write_room_locations)
$(write_status_locations)
    }

    # Plays the application.
    server {
        listen unix:$work/application.sock;
        access_log off;
        location / { return 200 "the application answers \$request_method \$request_uri\n"; }
        location /pages/ { root html; }
    }
}
END
}

make_files() {
    mkdir -p "$work"/{html,files/{pictures,papers,letters,films}}
    printf 'a page that needs no lookup\n' > "$work/html/index.html"
    base64 -d > "$work/files/pictures/red-1001.png" << END
iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC
END
    cat > "$work/files/papers/invoice-1002.pdf" << 'END'
%PDF-1.4
1 0 obj << /Type /Catalog /Pages 2 0 R >> endobj
2 0 obj << /Type /Pages /Kids [3 0 R] /Count 1 >> endobj
3 0 obj << /Type /Page /Parent 2 0 R /MediaBox [0 0 200 100] >> endobj
trailer << /Root 1 0 R >>
%%EOF
END
    printf 'Dear reader,\nthis letter was found by its number.\n' > "$work/files/letters/1003.txt"
    # As large as a film, and no two parts of it alike.
    seq -w 0 3999999 > "$work/files/films/1004.mp4"
}

# Stores value $2 under key $1, as anybody could who reaches memcached.
store_by_hand() {
    local key=$1 value=$2 reply
    exec 7<> "/dev/tcp/127.0.0.1/$store_port"
    printf 'set %s 0 0 %d\r\n%s\r\n' "$key" "${#value}" "$value" >&7
    read -r -t 10 reply <&7
    exec 7>&-
    [ "$reply" = $'STORED\r' ] || missed "memcached did not store $key: $reply"
}

step() {
    steps=$((steps + 1))
    printf '\n%s%d. %s%s\n' "$strong" "$steps" "$1" "$plain"
    shift
    [ $# = 0 ] || printf '   %s\n' "$@"
}

# A word as one would type it.
typed() {
    if [[ $1 =~ ^[[:alnum:]@%+=:,./_-]+$ ]]; then
        printf '%s' "$1"
    else
        printf '%s' "${1@Q}"
    fi
}

show_command() {
    local word text=''
    for word in "$@"; do
        text+=" $(typed "$word")"
    done
    printf '   $%s\n' "$text"
}

fetch() {
    curl --silent --noproxy '*' --max-time 30 "$@" || missed "curl ended with status $?"
}

# Asks with these arguments of curl, a path the last of them, and shows what matters of the head.
ask() {
    local url="http://127.0.0.1:$port${*: -1}" options=("${@:1:$#-1}")
    show_command curl -s -D - -o /dev/null "${options[@]}" "$url"
    fetch -D "$work/head" -o "$work/body" "${options[@]}" "$url"
    show_head
}

show_head() {
    sed -i 's/\r$//' "$work/head"
    grep -E '^(HTTP|Content-(Type|Length|Range)|ETag|Retry-After|RateLimit|Set-Cookie|X-S)' "$work/head" | sed 's/^/     /'
}

# Runs a command and shows it and what it prints.
run() {
    show_command "$@"
    "$@" 2>&1 | sed 's/^/     /'
}

missed() {
    misses=$((misses + 1))
    printf '   %sNot as it should be: %s%s\n' "$bad" "$*" "$plain"
}

met() {
    printf '   %s%s%s\n' "$good" "$*" "$plain"
}

# The answer's head must have these lines.
gives() {
    local line
    for line in "$@"; do
        grep -qxF -- "$line" "$work/head" || missed "the answer has no line \"$line\""
    done
}

# The answer's body must be this file below files/.
gives_file() {
    if cmp -s -- "$work/body" "$work/files/$1"; then
        met "The body is $1, byte for byte."
    else
        missed "the body is not $1"
    fi
}

gives_text() {
    if [ "$(cat -- "$work/body")" = "$1" ]; then
        met "The body is: ${1@Q}"
    else
        missed "the body is \"$(head -c 200 -- "$work/body")\", not \"$1\""
    fi
}

# The error log must have a line with this text.
logs() {
    local line
    if line=$(grep -F -- "$1" "$work/error.log" | tail -n 1) && [ -n "$line" ]; then
        printf '   The error log says:\n     %s\n' "[${line#*[}"
    else
        missed "the error log has no line with \"$1\""
    fi
}
