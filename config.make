# Read by nginx's ./configure after it wrote the Makefile. cargo is asked at every make: it knows
# best whether a source changed, and leaves the library alone when none did. It runs where its own
# .cargo/config.toml is.

case $NGX_OBJS in
    /*) ngx_smart_objs=$NGX_OBJS ;;
    *)  ngx_smart_objs=$PWD/$NGX_OBJS ;;
esac

cat << END >> $NGX_MAKEFILE

$ngx_smart_target:	$ngx_smart_library

$ngx_smart_library:	ngx_smart_cargo
	@command -v cargo > /dev/null || { \\
	    echo 'ngx-smart: cargo is not in PATH: install Rust, then run make again' >&2; exit 1; }
	+cd '$ngx_addon_dir' && \\
	NGINX_SOURCE_DIR='$PWD' NGINX_BUILD_DIR='$ngx_smart_objs' \\
	cargo rustc --locked --release --lib --crate-type staticlib \\
		--no-default-features --features nginx --target-dir '$ngx_smart_objs/ngx-smart'

.PHONY:	ngx_smart_cargo
END
