# What scripts/demo shows of smart_limit, beside limit_req. Needs demo.sh.
# shellcheck shell=bash

# The names of the locations, each of which has a page.
limits=(plain burst nodelay told draft customers tried limit_req-burst limit_req-nodelay)

make_limited_pages() {
    local name
    mkdir -p "$work/html/limits"
    for name in "${limits[@]}"; do
        printf 'a page\n' > "$work/html/limits/$name"
    done
}

# The configuration of the http block and of the server. Each location is a key of its own.
write_limit_zones() {
    cat << 'END'

    # Both limiters are told the same.
    smart_limit_zone $uri zone=limit:1m rate=1r/s;
    limit_req_zone $uri zone=limit_req:1m rate=1r/s;

    smart_limit_zone $uri zone=slow:1m rate=20r/m;
    map $arg_plan $rate { free 1r/h; paid 1r/m; }
    smart_limit_zone $arg_customer zone=customers:1m rate=$rate:1r/d;

    log_format limits '$request_method $request_uri $status limit=$smart_limit_status '
                      'zone=$smart_limit_zone excess=$smart_limit_excess '
                      'retry_after=$smart_limit_retry_after';
END
}

write_limit_locations() {
    cat << 'END'
        location /limits/ {
            access_log limits.log limits;
            add_header X-Smart-Limit-Status $smart_limit_status always;

            location = /limits/plain { smart_limit zone=limit; }
            location = /limits/burst { smart_limit zone=limit burst=5; }
            location = /limits/nodelay { smart_limit zone=limit burst=5 nodelay; }
            location = /limits/limit_req-burst { limit_req zone=limit_req burst=5; }
            location = /limits/limit_req-nodelay { limit_req zone=limit_req burst=5 nodelay; }
            location = /limits/told { smart_limit zone=slow; smart_limit_status 429; }
            location = /limits/draft {
                smart_limit zone=limit burst=5 nodelay;
                smart_limit_headers draft;
            }
            location = /limits/customers {
                smart_limit zone=customers;
                smart_limit_bypass $arg_monitoring;
            }
            location = /limits/tried { smart_limit zone=slow dry_run; }
        }
END
}

# Asks for path $1 so many times at once, and shows what came when; the other arguments, such as
# "6 times 200 after 0 s", are what it must be.
ask_at_once() {
    local path=$1 count=$2 url
    shift 2
    url="http://127.0.0.1:$port$path?[1-$count]"
    show_command curl --no-progress-meter -Z -o /dev/null -w '%{http_code} %{time_total}\n' "$url"
    fetch --no-progress-meter --parallel --parallel-immediate --output /dev/null \
        --write-out '%{http_code} %{time_total}\n' "$url" > "$work/answers$path"
    # nginx is never early, and a busy machine may be late.
    awk '{ printf "%s after %d s\n", $1, $2 + 0.1 }' "$work/answers$path" | sort | uniq -c |
        awk '{ times = $1; $1 = ""; print times " times" $0 }' > "$work/sum$path"
    sed 's/^/     /' "$work/sum$path"
    if [ "$(cat -- "$work/sum$path")" = "$(printf '%s\n' "$@")" ]; then
        met "As it should be."
    else
        missed "these should be: ${*@Q}"
    fi
}

# Asks both limiters at the same time, which must answer the same.
ask_both_at_once() {
    local path=$1 count=$2 theirs
    shift 2
    ask_at_once "/limits/limit_req-$path" "$count" "$@" > "$work/theirs" &
    theirs=$!
    ask_at_once "/limits/$path" "$count" "$@"
    wait "$theirs"
    printf '   limit_req, told the same and asked at the same time:\n'
    cat -- "$work/theirs"
    ! grep -q 'Not as it should be' "$work/theirs" || misses=$((misses + 1))
}

show_that_it_is_limit_req() {
    mkdir -p "$work"/{answers,sum}/limits
    step "A limit: one request a second" "Three at once: one passes, two are refused."
    ask_at_once /limits/plain 3 '1 times 200 after 0 s' '2 times 503 after 0 s'
    logs 'by zone "limit"'

    step "The same with nodelay and a burst of five" \
        "Ten at once: six pass at once, four are refused."
    ask_both_at_once nodelay 10 '6 times 200 after 0 s' '4 times 503 after 0 s'

    step "A burst of five that waits its turn" \
        "Ten at once: one passes at once, five wait, one second each, four are refused."
    ask_both_at_once burst 10 '1 times 200 after 0 s' '1 times 200 after 1 s' \
        '1 times 200 after 2 s' '1 times 200 after 3 s' '1 times 200 after 4 s' \
        '1 times 200 after 5 s' '4 times 503 after 0 s'
    logs 'delaying request, excess: '
}

show_what_a_client_is_told() {
    step "When to come again" "Twenty a minute is one every three seconds. The first passes …"
    ask /limits/told
    gives 'HTTP/1.1 200 OK' 'X-Smart-Limit-Status: PASSED'
    step "… the second is refused, and told so"
    ask /limits/told
    gives 'HTTP/1.1 429 Too Many Requests' 'Retry-After: 3' 'X-Smart-Limit-Status: REJECTED'
    step "Three seconds later"
    sleep 3
    ask /limits/told
    gives 'HTTP/1.1 200 OK' 'X-Smart-Limit-Status: PASSED'

    step "What is left" "With smart_limit_headers draft, each answer says it: of six, five …"
    ask /limits/draft
    gives 'RateLimit-Policy: "limit";q=6;w=6' 'RateLimit: "limit";r=5;t=1'
    step "… and four; in two seconds all six again"
    ask /limits/draft
    gives 'RateLimit-Policy: "limit";q=6;w=6' 'RateLimit: "limit";r=4;t=2'
}

show_whom_it_lets_alone() {
    step "A rate for each customer" "On the free plan it is one an hour; a map gives it."
    ask '/limits/customers?customer=ann&plan=free'
    gives 'HTTP/1.1 200 OK'
    ask '/limits/customers?customer=ann&plan=free'
    gives 'HTTP/1.1 503 Service Temporarily Unavailable' 'Retry-After: 3600'
    step "The other plan" "One a minute."
    ask '/limits/customers?customer=bob&plan=paid'
    gives 'HTTP/1.1 200 OK'
    ask '/limits/customers?customer=bob&plan=paid'
    gives 'HTTP/1.1 503 Service Temporarily Unavailable' 'Retry-After: 60'
    step "Monitoring may always" "smart_limit_bypass names what lets it."
    ask '/limits/customers?customer=ann&plan=free&monitoring=yes'
    gives 'HTTP/1.1 200 OK' 'X-Smart-Limit-Status: BYPASSED'

    step "A limit that is only tried" "It refuses nobody, and logs whom it would have refused."
    ask /limits/tried
    ask /limits/tried
    gives 'HTTP/1.1 200 OK' 'X-Smart-Limit-Status: REJECTED_DRY_RUN'
    logs 'limiting requests, dry run, excess: '
}

show_the_log_of_limits() {
    step "The access log, by the variables of the limiter" "Its last lines:"
    tail -n 5 -- "$work/limits.log" | sed 's/^/     /'
    grep -Eq 'free 503 limit=REJECTED zone=customers excess=(1.000|0.999) retry_after=3600$' \
        "$work/limits.log" || missed "the line of ann's refusal is not there"
}

show_limits() {
    show_that_it_is_limit_req
    show_what_a_client_is_told
    show_whom_it_lets_alone
    show_the_log_of_limits
}
