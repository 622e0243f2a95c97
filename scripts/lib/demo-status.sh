# What scripts/demo shows of the status interface and of the advice on buffers. Needs demo.sh and
# demo-room.sh.
# shellcheck shell=bash

# Answers as an application has many of: a page of 11 KB.
make_status_pages() {
    mkdir -p "$work/html/pages" "$work/advice"
    seq -w 0 2199 > "$work/html/pages/page"
}

write_status_zones() {
    cat << 'END'

    smart_buffers_zone 1m;
END
}

write_status_locations() {
    cat << END
        location /pages/ {
            smart_buffers on;
            include advice/*.conf;
            proxy_pass http://unix:$work/application.sock;
        }
        location /smart/ {
            access_log off;
            smart_api write;
            allow 127.0.0.1;
            deny all;
        }
END
}

show_what_is_told() {
    step "What all this was, in one place" \
        "The status interface: a page for people, JSON, and text for Prometheus."
    ask /smart/
    gives 'HTTP/1.1 200 OK' 'Content-Type: text/html; charset=utf-8'
    step "For programs"
    ask /smart/status.json
    gives 'HTTP/1.1 200 OK' 'Content-Type: application/json'
    gives_in_body '"stale":{"count":2,'
    gives_in_body '"panics":0'
    step "For Prometheus"
    ask /smart/metrics
    gives_in_body 'ngx_smart_sendfile_lookups_total{outcome="stale"} 2'
    gives_in_body 'ngx_smart_room_admitted_total{room="tour"} 2'
}

show_a_key_that_is_let_in() {
    step "A key that has used up its limit"
    ask /limits/told
    ask /limits/told
    gives 'HTTP/1.1 429 Too Many Requests'
    step "What the limit holds of it"
    ask '/smart/limits/slow?key=/limits/told'
    gives_in_body '"held":true'
    step "It is let in again" "Who may write, may remove: the key, a seat, a place, what a cache knows."
    ask -X DELETE '/smart/limits/slow?key=/limits/told'
    gives 'HTTP/1.1 204 No Content'
    ask /limits/told
    gives 'HTTP/1.1 200 OK'
}

show_the_advice() {
    local pages="http://127.0.0.1:$port/pages/page"
    step "1,200 answers of an application, 11 KB each" "smart_buffers measures what they need."
    show_command curl -s -o /dev/null "$pages?[1-1200]"
    fetch -o /dev/null "$pages?[1-1200]"
    step "What is advised for the buffers of this location" "As directives, to be included there as they are."
    show_command curl -sG "http://127.0.0.1:$port/smart/buffers.conf" -d location=/pages/ -o advice/pages.conf
    fetch -G -d location=/pages/ -o "$work/advice/pages.conf" "http://127.0.0.1:$port/smart/buffers.conf"
    sed 's/^/     /' "$work/advice/pages.conf"
    grep -q '^ *proxy_buffers ' "$work/advice/pages.conf" || missed "there is no advice for proxy_buffers"
    step "It is taken" "nginx finds nothing wrong with it, and a reload keeps what was measured."
    run "$NGX_SMART_NGINX" -t -q -p "$work" -c "$work/nginx.conf" -e "$work/error.log"
    show_command kill -HUP "$nginx_pid"
    reload
    ask '/smart/buffers?location=/pages/'
    gives_in_body '"state":"fine"'
}

# Reloads, and waits until the worker that runs by the old configuration answers nobody any more.
reload() {
    local old deadline=$((SECONDS + 20))
    old=$(fetch -o - "http://127.0.0.1:$port/smart/status.json" | sed -n 's/.*"process":\([0-9]*\),.*/\1/p')
    kill -HUP "$nginx_pid"
    while kill -0 "$old" 2> /dev/null && [ "$SECONDS" -lt "$deadline" ]; do
        sleep 0.1
    done
}

show_it_in_a_terminal() {
    step "The same in a terminal" "With --watch it stays, and draws the last minutes."
    show_command "$tool" status "http://127.0.0.1:$port/smart/"
    "$tool" status "http://127.0.0.1:$port/smart/" > "$work/status" || true
    sed 's/^/     /' "$work/status"
    grep -q 'tour' "$work/status" || missed "the room is not shown"
}

show_status() {
    show_what_is_told
    show_a_key_that_is_let_in
    show_the_advice
    show_it_in_a_terminal
}
