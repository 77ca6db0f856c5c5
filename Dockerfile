# busdemo and nothing else: build it with `docker build -t busdemo .`, and serve the simulated chat server with
# `docker run --rm -p 8080:8080 busdemo`. Any other command takes its place: `docker run --rm busdemo demo`.
FROM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /busdemo ./cmd/busdemo

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /busdemo /busdemo
USER 65532:65532
EXPOSE 8080
ENTRYPOINT ["/busdemo"]
CMD ["sim", "--listen", "0.0.0.0:8080"]
