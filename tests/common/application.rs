//! An application behind nginx that tells what it was sent.

use super::setup::Setup;

/// Adds the application: two servers of nginx, of which the first one knows the body, because it
/// passes it on, and the second one answers. It listens where [`pass`] says.
pub fn application(setup: Setup) -> Setup {
    let prefix = setup.prefix().display().to_string();
    setup.http(&format!(
        "client_body_buffer_size 512k;
        server {{
            listen unix:{prefix}/application.sock;
            location / {{
                proxy_set_header X-Body $request_body;
                proxy_pass http://unix:{prefix}/echo.sock;
            }}
        }}
        server {{
            listen unix:{prefix}/echo.sock;
            large_client_header_buffers 4 512k;
            add_header X-Method $request_method;
            location / {{ return 200 '$request_uri [$http_x_body] $http_x_custom\\n'; }}
        }}\n"
    ))
}

/// The directive that passes requests to the application.
pub fn pass(setup: &Setup) -> String {
    format!("proxy_pass http://unix:{}/application.sock;", setup.prefix().display())
}
