-- The peer in Lua: asks memcached over a kept connection, or a dictionary in shared memory if there
-- is one, and redirects to the file.
local id = string.match(ngx.var.uri, "%d+$")
if not id then
    return ngx.exit(ngx.HTTP_NOT_FOUND)
end

local known = ngx.shared.lookups
local path = known and known:get(id)

if not path then
    local store = ngx.socket.tcp()
    store:settimeout(500)
    local value
    if store:connect(ngx.var.store_host, ngx.var.store_port) and store:send("get " .. id .. "\r\n") then
        local head = store:receive()
        local length = head and tonumber(string.match(head, "^VALUE %S+ %d+ (%d+)$"))
        if length then
            value = store:receive(length + #"\r\nEND\r\n")
            path = value and string.sub(value, 1, length)
        end
    end
    if not path then
        return ngx.exit(ngx.HTTP_NOT_FOUND)
    end
    store:setkeepalive(60000, 1024)
    if known then
        known:set(id, path, 3600)
    end
end

return ngx.exec("/files/" .. path)
