//! Clients of what is carried over HTTP: gRPC, WebSocket, the Model Context Protocol.

use super::{
    account::{GRPC, OPENAI, STRIPE},
    client, node, python,
    row::Row,
};

const GROUP: &str = "protocols";

#[test]
fn grpc() {
    // Bytes in, bytes out: no message types are needed to see a call through.
    let script = "import grpc; c = grpc.secure_channel('grpc.example.com:443', \
                  grpc.ssl_channel_credentials()); same = lambda b: b; \
                  call = c.unary_unary('/demo.Echo/Say', request_serializer=same, \
                  response_deserializer=same); \
                  assert call(b'hello', timeout=20) == b'hello'";
    Row::new(GROUP, "grpcio", GRPC, [python(), "-c".to_owned(), script.to_owned()])
        .environment("VIRTUAL_ENV", client("python"))
        .speaks("grpc")
        .check();
}

#[test]
fn web_socket() {
    let script = "from websockets.sync.client import connect\n\
                  with connect('wss://api.openai.com/v1/realtime') as s: assert s.recv() == 'hello'";
    Row::new(GROUP, "websockets", OPENAI, [python(), "-c".to_owned(), script.to_owned()])
        .environment("VIRTUAL_ENV", client("python"))
        .speaks("ws")
        .check();
}

#[test]
fn mcp_python() {
    let script = "import asyncio
from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
async def main():
    async with streamable_http_client('https://mcp.stripe.com/mcp') as streams:
        async with ClientSession(*streams[:2]) as session:
            await session.initialize()
            assert (await session.list_tools()).tools[0].name == 'greet'
asyncio.run(main())
";
    Row::new(GROUP, "MCP client (Python)", STRIPE, [python(), "-c".to_owned(), script.to_owned()])
        .environment("VIRTUAL_ENV", client("python"))
        .asks("/mcp")
        .check();
}

#[test]
fn mcp_node() {
    let from = client("node_modules/@modelcontextprotocol/sdk/dist/esm/client");
    let script = format!(
        "import {{ Client }} from '{from}/index.js';\n\
         import {{ StreamableHTTPClientTransport }} from '{from}/streamableHttp.js';\n\
         const client = new Client({{ name: 'matrix', version: '1' }});\n\
         const url = new URL('https://mcp.stripe.com/mcp');\n\
         await client.connect(new StreamableHTTPClientTransport(url));\n\
         if ((await client.listTools()).tools[0].name !== 'greet') process.exit(1);\n\
         process.exit(0);"
    );
    Row::new(GROUP, "MCP client (Node)", STRIPE, [node(), "mcp.mjs".to_owned()])
        .file("mcp.mjs", script)
        .asks("/mcp")
        .refuses_bare(super::javascript::NODE)
        .check();
}
