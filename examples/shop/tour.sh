# One host, by prefix, by segment and exactly: the answer says which backend it was, in "name".
curl http://shop.localhost:8080/
curl http://shop.localhost:8080/cart/items
curl http://shop.localhost:8080/cart/health
# The canary, when asked for; and in one of five requests.
curl -H 'x-canary: always' http://shop.localhost:8080/cart
curl -s 'http://shop.localhost:8080/cart?[1-50]' | grep -o '"name":"[^"]*"' | sort | uniq -c
# The other host: HTTPS with a certificate that it is checked against; plain HTTP is redirected.
curl --cacert examples/shop/ca.crt https://api.localhost:8443/v1/orders/17
curl -s -o /dev/null -w '%{http_code} %{redirect_url}\n' http://api.localhost:8080/v1/orders
# A WebSocket (curl only shows that the backend agrees to one).
curl -si -N -m 2 -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' -H 'Sec-WebSocket-Key: d2Vpcmtlb3BlciBkZW1vIQ==' http://shop.localhost:8080/live | head -1
# A host that nobody wrote down.
curl -s -o /dev/null -w '%{http_code}\n' http://nobody.localhost:8080/
