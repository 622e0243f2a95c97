-- wrk's part: requests for random lines of a file, and figures that a program can read.
local requests = {}
local thread

function setup(this)
    thread = this
end

function init(arguments)
    for path in io.lines(arguments[1]) do
        requests[#requests + 1] = wrk.format("GET", path)
    end
    math.randomseed(tonumber(arguments[2]))
    started = os.clock()
end

function request()
    return requests[math.random(#requests)]
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        "figures %d %d %d %d %d %d\n",
        summary.requests,
        summary.duration,
        latency:percentile(50),
        latency:percentile(99),
        (os.clock() - thread:get("started")) * 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout
    ))
end
