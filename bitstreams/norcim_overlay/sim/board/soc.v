// The SoC as the harness sees it. Its reset comes out of a flip-flop: were it an input of the
// gateware's combinational logic, the simulator would evaluate that logic at every call.
module soc (
    input clk, input rst, input npu_clk, output npu_active, output reset_request,
    input uart_rx, output uart_tx,
    output flash_cs, output flash_sck,
    input [3:0] flash_dq_i, output [3:0] flash_dq_o, output [3:0] flash_dq_oe
);
  reg reset = 1'b1;
  always @(posedge clk) reset <= rst;

  soc_core core (
      .clk(clk), .rst(reset), .npu_clk(npu_clk), .npu_rst(reset), .npu_active(npu_active),
      .reset_request(reset_request), .uart_rx(uart_rx), .uart_tx(uart_tx),
      .flash_cs(flash_cs), .flash_sck(flash_sck), .flash_dq_i(flash_dq_i),
      .flash_dq_o(flash_dq_o), .flash_dq_oe(flash_dq_oe)
  );
endmodule
