module github.com/cxbus/cxbus/plugins/webchatservice/bench

go 1.25.0

require (
	github.com/cxbus/cxbus v0.0.0
	github.com/gorilla/websocket v1.5.3
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/cenkalti/backoff/v5 v5.0.3 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
)

replace github.com/cxbus/cxbus => ../../..
