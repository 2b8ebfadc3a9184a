// Package v20170312 has the names that flannel's tencent-vpc backend mentions, and nothing behind them:
// the real module is not on the Go proxy at the version flannel wants, and the lab uses vxlan.
package v20170312

import "errors"

var errStub = errors.New("this flannel was built without Tencent's SDK")

type Client struct{}

type Filter struct {
	Name   *string
	Values []*string
}

type Route struct {
	DestinationCidrBlock, GatewayType, GatewayId, RouteType *string

	RouteId *uint64
	Enabled *bool
}

type RouteTable struct {
	RouteTableId *string
	RouteSet     []*Route
}

type DescribeRouteTablesRequest struct{ Filters []*Filter }

type DescribeRouteTablesResponse struct {
	Response *struct{ RouteTableSet []*RouteTable }
}

type RoutesRequest struct {
	RouteTableId *string
	Routes       []*Route
}

func NewClientWithSecretId(_, _, _ string) (*Client, error) { return nil, errStub }

func NewDescribeRouteTablesRequest() *DescribeRouteTablesRequest { return &DescribeRouteTablesRequest{} }
func NewDeleteRoutesRequest() *RoutesRequest                     { return &RoutesRequest{} }
func NewCreateRoutesRequest() *RoutesRequest                     { return &RoutesRequest{} }

func (*Client) DescribeRouteTables(*DescribeRouteTablesRequest) (*DescribeRouteTablesResponse, error) {
	return nil, errStub
}
func (*Client) DeleteRoutes(*RoutesRequest) (any, error) { return nil, errStub }
func (*Client) CreateRoutes(*RoutesRequest) (any, error) { return nil, errStub }
